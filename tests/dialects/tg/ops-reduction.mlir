// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK-LABEL: func.func @reduction
func.func @reduction(%x: tensor<2x3x4xf32>, %i: tensor<5xi32>) {
  // CHECK: tg.reduce %{{.*}} {axes = array<i64: 0, 2>, kind = #tg.reduce_kind<sum>} : (tensor<2x3x4xf32>) -> tensor<3xf32>
  %0 = tg.reduce %x {axes = array<i64: 0, 2>, kind = #tg.reduce_kind<sum>} : (tensor<2x3x4xf32>) -> tensor<3xf32>
  // CHECK: tg.reduce %{{.*}} {axes = array<i64: 0>, kind = #tg.reduce_kind<max>} : (tensor<5xi32>) -> tensor<i32>
  %1 = tg.reduce %i {axes = array<i64: 0>, kind = #tg.reduce_kind<max>} : (tensor<5xi32>) -> tensor<i32>
  // CHECK: #tg.reduce_kind<min>
  %2 = tg.reduce %i {axes = array<i64: 0>, kind = #tg.reduce_kind<min>} : (tensor<5xi32>) -> tensor<i32>
  // CHECK: tg.softmax %{{.*}} : tensor<2x3x4xf32>
  %3 = tg.softmax %x : tensor<2x3x4xf32>
  // CHECK: tg.log_softmax %{{.*}} : tensor<2x3x4xf32>
  %4 = tg.log_softmax %x : tensor<2x3x4xf32>
  return
}
