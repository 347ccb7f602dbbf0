// RUN: vcc-opt %s --tg-fold-activations --canonicalize | FileCheck %s

// x / 2 * (1 + erf(x / sqrt 2)) of a product that nothing else reads.
// CHECK-LABEL: func.func @gelu
func.func @gelu() {
  %x = tg.input "x" : tensor<2x4xf32>
  %w = tg.input "w" : tensor<4x8xf32>
  // CHECK: %[[Y:.*]] = tg.gemm {{.*}}activation = #tg.activation<gelu>
  %h = tg.gemm %x, %w {batch = array<i64>, m = 2 : i64, n = 8 : i64, k = 4 : i64, a_strides = array<i64: 4, 1>, b_strides = array<i64: 8, 1>, c_strides = array<i64: 8, 1>} : tensor<2x4xf32>, tensor<4x8xf32> -> tensor<2x8xf32>
  %half = tg.constant dense<0.5> : tensor<2x8xf32>
  %root = tg.constant dense<0.707106769> : tensor<2x8xf32>
  %one = tg.constant dense<1.0> : tensor<2x8xf32>
  %a = tg.mul %h, %half : tensor<2x8xf32>
  %s = tg.mul %h, %root : tensor<2x8xf32>
  %e = tg.erf %s : tensor<2x8xf32>
  %g = tg.add %e, %one : tensor<2x8xf32>
  %y = tg.mul %a, %g : tensor<2x8xf32>
  // CHECK-NEXT: tg.output "y", %[[Y]]
  tg.output "y", %y : tensor<2x8xf32>
  return
}

// CHECK-LABEL: func.func @silu
func.func @silu() {
  %x = tg.input "x" : tensor<2x4xf32>
  %w = tg.input "w" : tensor<4x8xf32>
  // CHECK: %[[Y:.*]] = tg.gemm {{.*}}activation = #tg.activation<silu>
  %h = tg.gemm %x, %w {batch = array<i64>, m = 2 : i64, n = 8 : i64, k = 4 : i64, a_strides = array<i64: 4, 1>, b_strides = array<i64: 8, 1>, c_strides = array<i64: 8, 1>} : tensor<2x4xf32>, tensor<4x8xf32> -> tensor<2x8xf32>
  %s = tg.sigmoid %h : tensor<2x8xf32>
  %y = tg.mul %s, %h : tensor<2x8xf32>
  // CHECK-NEXT: tg.output "y", %[[Y]]
  tg.output "y", %y : tensor<2x8xf32>
  return
}

// Must not fire: the backward reads the value before the activation.
// CHECK-LABEL: func.func @keeps_what_a_backward_reads
func.func @keeps_what_a_backward_reads() {
  %x = tg.input "x" : tensor<2x4xf32>
  %w = tg.input "w" : tensor<4x8xf32>
  // CHECK-NOT: activation
  %h = tg.gemm %x, %w {batch = array<i64>, m = 2 : i64, n = 8 : i64, k = 4 : i64, a_strides = array<i64: 4, 1>, b_strides = array<i64: 8, 1>, c_strides = array<i64: 8, 1>} : tensor<2x4xf32>, tensor<4x8xf32> -> tensor<2x8xf32>
  %s = tg.sigmoid %h : tensor<2x8xf32>
  %y = tg.mul %s, %h : tensor<2x8xf32>
  tg.output "y", %y : tensor<2x8xf32>
  tg.output "before", %h : tensor<2x8xf32>
  return
}

// Must not fire: another constant is another function.
// CHECK-LABEL: func.func @keeps_other_gates
func.func @keeps_other_gates() {
  %x = tg.input "x" : tensor<2x4xf32>
  %w = tg.input "w" : tensor<4x8xf32>
  // CHECK-NOT: activation
  %h = tg.gemm %x, %w {batch = array<i64>, m = 2 : i64, n = 8 : i64, k = 4 : i64, a_strides = array<i64: 4, 1>, b_strides = array<i64: 8, 1>, c_strides = array<i64: 8, 1>} : tensor<2x4xf32>, tensor<4x8xf32> -> tensor<2x8xf32>
  %half = tg.constant dense<0.5> : tensor<2x8xf32>
  %root = tg.constant dense<0.7> : tensor<2x8xf32>
  %one = tg.constant dense<1.0> : tensor<2x8xf32>
  %a = tg.mul %h, %half : tensor<2x8xf32>
  %s = tg.mul %h, %root : tensor<2x8xf32>
  %e = tg.erf %s : tensor<2x8xf32>
  %g = tg.add %e, %one : tensor<2x8xf32>
  %y = tg.mul %a, %g : tensor<2x8xf32>
  tg.output "y", %y : tensor<2x8xf32>
  return
}
