// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK-LABEL: func.func @movement
func.func @movement(%x: tensor<2x3xf32>, %y: tensor<2x1xf32>) {
  // CHECK: tg.broadcast %{{.*}} {axes = array<i64: 0, 2>} : (tensor<2x3xf32>) -> tensor<2x7x3xf32>
  %0 = tg.broadcast %x {axes = array<i64: 0, 2>} : (tensor<2x3xf32>) -> tensor<2x7x3xf32>
  // CHECK: tg.broadcast %{{.*}} {axes = array<i64: 0, 1>} : (tensor<2x1xf32>) -> tensor<2x5xf32>
  %1 = tg.broadcast %y {axes = array<i64: 0, 1>} : (tensor<2x1xf32>) -> tensor<2x5xf32>
  // CHECK: tg.reshape %{{.*}} : (tensor<2x3xf32>) -> tensor<6x1xf32>
  %2 = tg.reshape %x : (tensor<2x3xf32>) -> tensor<6x1xf32>
  // CHECK: tg.transpose %{{.*}} {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %3 = tg.transpose %x {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  // CHECK: tg.slice %{{.*}} {offsets = array<i64: 0, 0>, sizes = array<i64: 1, 2>, strides = array<i64: 1, 2>}
  %4 = tg.slice %x {offsets = array<i64: 0, 0>, sizes = array<i64: 1, 2>, strides = array<i64: 1, 2>}
      : (tensor<2x3xf32>) -> tensor<1x2xf32>
  // CHECK: tg.concat %{{.*}}, %{{.*}} {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  %5 = tg.concat %x, %y {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  // CHECK: tg.pad %{{.*}} {high = array<i64: 0, 1>, low = array<i64: 1, 0>, value = 2.000000e+00 : f64}
  %6 = tg.pad %x {high = array<i64: 0, 1>, low = array<i64: 1, 0>, value = 2.0} : (tensor<2x3xf32>) -> tensor<3x4xf32>
  // CHECK: tg.all_gather %{{.*}} {ranks = 4 : i64} : (tensor<2x3xf32>) -> tensor<8x3xf32>
  %7 = tg.all_gather %x {ranks = 4 : i64} : (tensor<2x3xf32>) -> tensor<8x3xf32>
  // CHECK: tg.reduce_scatter %{{.*}} {ranks = 2 : i64} : (tensor<2x3xf32>) -> tensor<1x3xf32>
  %8 = tg.reduce_scatter %x {ranks = 2 : i64} : (tensor<2x3xf32>) -> tensor<1x3xf32>
  return
}
