// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK-LABEL: func.func @indexing
func.func @indexing(%table: tensor<10x4xf32>, %ids: tensor<2x3xi32>, %updates: tensor<2x3x4xf32>) {
  // CHECK: tg.iota {axis = 1 : i64} : tensor<2x3xi32>
  %0 = tg.iota {axis = 1 : i64} : tensor<2x3xi32>
  // CHECK: tg.gather %{{.*}}, %{{.*}} : (tensor<10x4xf32>, tensor<2x3xi32>) -> tensor<2x3x4xf32>
  %1 = tg.gather %table, %ids : (tensor<10x4xf32>, tensor<2x3xi32>) -> tensor<2x3x4xf32>
  // CHECK: tg.scatter_add %{{.*}}, %{{.*}} {rows = 10 : i64} : (tensor<2x3xi32>, tensor<2x3x4xf32>) -> tensor<10x4xf32>
  %2 = tg.scatter_add %ids, %updates {rows = 10 : i64} : (tensor<2x3xi32>, tensor<2x3x4xf32>) -> tensor<10x4xf32>
  return
}
