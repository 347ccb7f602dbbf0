// RUN: vcc-opt %s --tg-fold-transposes | FileCheck %s

// The transposed operand becomes a dimension number.
// CHECK-LABEL: func.func @operand
func.func @operand() {
  // CHECK: %[[X:.*]] = tg.input "x"
  // CHECK: %[[W:.*]] = tg.input "w"
  %x = tg.input "x" : tensor<2x4xf32>
  %w = tg.input "w" : tensor<8x4xf32>
  %t = tg.transpose %w {permutation = array<i64: 1, 0>} : (tensor<8x4xf32>) -> tensor<4x8xf32>
  // CHECK: tg.dot_general %[[X]], %[[W]] {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
  %y = tg.dot_general %x, %t {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<2x4xf32>, tensor<4x8xf32>) -> tensor<2x8xf32>
  tg.output "y", %y : tensor<2x8xf32>
  return
}

// A transposed product is the product of the operands in the other order.
// CHECK-LABEL: func.func @result
func.func @result() {
  // CHECK: %[[X:.*]] = tg.input "x"
  // CHECK: %[[W:.*]] = tg.input "w"
  %x = tg.input "x" : tensor<2x4xf32>
  %w = tg.input "w" : tensor<8x4xf32>
  // CHECK: %[[Y:.*]] = tg.dot_general %[[W]], %[[X]]
  %y = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<2x4xf32>, tensor<8x4xf32>) -> tensor<2x8xf32>
  %t = tg.transpose %y {permutation = array<i64: 1, 0>} : (tensor<2x8xf32>) -> tensor<8x2xf32>
  // CHECK: tg.output "y", %[[Y]]
  tg.output "y", %t : tensor<8x2xf32>
  return
}

// Must not fire: the free axes of the result would change places.
// CHECK-LABEL: func.func @keeps_free_axes_in_order
func.func @keeps_free_axes_in_order() {
  %x = tg.input "x" : tensor<2x3x4xf32>
  %w = tg.input "w" : tensor<8x4xf32>
  // CHECK: %[[T:.*]] = tg.transpose
  %t = tg.transpose %x {permutation = array<i64: 1, 0, 2>} : (tensor<2x3x4xf32>) -> tensor<3x2x4xf32>
  // CHECK: tg.dot_general %[[T]]
  %y = tg.dot_general %t, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, contract_b = array<i64: 1>} : (tensor<3x2x4xf32>, tensor<8x4xf32>) -> tensor<3x2x8xf32>
  tg.output "y", %y : tensor<3x2x8xf32>
  return
}
