// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK-LABEL: func.func @losses
func.func @losses(%x: tensor<6x10xf32>, %l: tensor<6xi32>, %g: tensor<6xf32>) {
  // CHECK: tg.cross_entropy %{{.*}}, %{{.*}} {smoothing = 1.000000e-01 : f64} : (tensor<6x10xf32>, tensor<6xi32>) -> (tensor<6xf32>, tensor<6xf32>)
  %0:2 = tg.cross_entropy %x, %l {smoothing = 0.1} : (tensor<6x10xf32>, tensor<6xi32>) -> (tensor<6xf32>, tensor<6xf32>)
  // CHECK: tg.cross_entropy_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {ignore = 0 : i64}
  %1 = tg.cross_entropy_grad %x, %l, %0#1, %g {ignore = 0 : i64}
      : (tensor<6x10xf32>, tensor<6xi32>, tensor<6xf32>, tensor<6xf32>) -> tensor<6x10xf32>
  return
}
