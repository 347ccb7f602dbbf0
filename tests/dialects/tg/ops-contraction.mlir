// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK-LABEL: func.func @products
func.func @products(%a: tensor<2x5x3xf32>, %b: tensor<2x4x3xf32>, %bias: tensor<4xf32>, %c: tensor<2x5x4xf32>) {
  // CHECK: tg.dot_general %{{.*}}, %{{.*}} {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 2>, contract_b = array<i64: 2>}
  %0 = tg.dot_general %a, %b {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 2>,
      contract_b = array<i64: 2>} : (tensor<2x5x3xf32>, tensor<2x4x3xf32>) -> tensor<2x5x4xf32>
  // CHECK: tg.gemm %{{.*}}, %{{.*}} {a_strides
  %1 = tg.gemm %a, %b {batch = array<i64: 2>, m = 5 : i64, n = 4 : i64, k = 3 : i64, a_strides = array<i64: 15, 3, 1>,
      b_strides = array<i64: 12, 1, 3>, c_strides = array<i64: 20, 4, 1>}
      : tensor<2x5x3xf32>, tensor<2x4x3xf32> -> tensor<2x5x4xf32>
  // CHECK: tg.gemm %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<4xf32>) addend(%{{.*}} : tensor<2x5x4xf32>) {
  // CHECK-SAME: accumulate
  // CHECK-SAME: activation = #tg.activation<silu>
  %2 = tg.gemm %a, %b bias(%bias : tensor<4xf32>) addend(%c : tensor<2x5x4xf32>) {batch = array<i64: 2>, m = 5 : i64,
      n = 4 : i64, k = 3 : i64, a_strides = array<i64: 15, 3, 1>, b_strides = array<i64: 12, 1, 3>,
      c_strides = array<i64: 20, 4, 1>, activation = #tg.activation<silu>, accumulate}
      : tensor<2x5x3xf32>, tensor<2x4x3xf32> -> tensor<2x5x4xf32>
  return
}

// Of narrow operands the sums may be kept.
// CHECK-LABEL: func.func @narrow
func.func @narrow(%a: tensor<5x3xbf16>, %b: tensor<4x3xbf16>, %bias: tensor<4xbf16>) {
  // CHECK: tg.dot_general {{.*}} : (tensor<5x3xbf16>, tensor<4x3xbf16>) -> tensor<5x4xf32>
  %0 = tg.dot_general %a, %b {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
      : (tensor<5x3xbf16>, tensor<4x3xbf16>) -> tensor<5x4xf32>
  // CHECK: tg.gemm {{.*}} : tensor<5x3xbf16>, tensor<4x3xbf16> -> tensor<5x4xf32>
  %1 = tg.gemm %a, %b {batch = array<i64>, m = 5 : i64, n = 4 : i64, k = 3 : i64, a_strides = array<i64: 3, 1>,
      b_strides = array<i64: 1, 3>, c_strides = array<i64: 4, 1>} : tensor<5x3xbf16>, tensor<4x3xbf16> -> tensor<5x4xf32>
  // CHECK: tg.gemm %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<4xbf16>) {{.*}} -> tensor<5x4xbf16>
  %2 = tg.gemm %a, %b bias(%bias : tensor<4xbf16>) {batch = array<i64>, m = 5 : i64, n = 4 : i64, k = 3 : i64, a_strides = array<i64: 3, 1>,
      b_strides = array<i64: 1, 3>, c_strides = array<i64: 4, 1>} : tensor<5x3xbf16>, tensor<4x3xbf16> -> tensor<5x4xbf16>
  return
}
