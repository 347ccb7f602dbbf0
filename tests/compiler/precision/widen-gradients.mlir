// RUN: vcc-opt %s --split-input-file --tg-widen-gradients --canonicalize | FileCheck %s

// A gradient that a product gives keeps the product's sums; the transpose between them moves them as they are.
// CHECK-LABEL: func.func @micro_one
func.func @micro_one() {
  %x = tg.input "x" : tensor<4x8xbf16>
  %d = tg.input "d" : tensor<4x2xbf16>
  // CHECK: %[[P:.*]] = tg.dot_general {{.*}} : (tensor<4x8xbf16>, tensor<4x2xbf16>) -> tensor<8x2xf32>
  // CHECK: %[[T:.*]] = tg.transpose %[[P]] {{.*}} : (tensor<8x2xf32>) -> tensor<2x8xf32>
  // CHECK: tg.write @"gradient:w", %[[T]] {accumulate}
  %p = tg.dot_general %x, %d {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>}
    : (tensor<4x8xbf16>, tensor<4x2xbf16>) -> tensor<8x2xbf16>
  %t = tg.transpose %p {permutation = array<i64: 1, 0>} : (tensor<8x2xbf16>) -> tensor<2x8xbf16>
  %w = tg.cast %t : tensor<2x8xbf16> -> tensor<2x8xf32>
  tg.write @"gradient:w", %w {accumulate} : tensor<2x8xf32>
  return
}
tg.state @w weight trainable : tensor<2x8xf32>
tg.state @"gradient:w" gradient : tensor<2x8xf32>

// -----

// So do sums of several; a rounding between is dropped.
// CHECK-LABEL: func.func @micro_sum
func.func @micro_sum() {
  %x = tg.input "x" : tensor<4x8xbf16>
  %d = tg.input "d" : tensor<4x2xbf16>
  %r = tg.input "r" : tensor<8x2xf32>
  // CHECK: %[[P:.*]] = tg.dot_general {{.*}} -> tensor<8x2xf32>
  // CHECK: %[[S:.*]] = tg.add %[[P]], %{{.*}} : tensor<8x2xf32>
  // CHECK: tg.write @"gradient:w", %[[S]] :
  %p = tg.dot_general %x, %d {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>}
    : (tensor<4x8xbf16>, tensor<4x2xbf16>) -> tensor<8x2xbf16>
  %q = tg.cast %p : tensor<8x2xbf16> -> tensor<8x2xf32>
  %s = tg.add %q, %r : tensor<8x2xf32>
  %n = tg.cast %s : tensor<8x2xf32> -> tensor<8x2xbf16>
  %w = tg.cast %n : tensor<8x2xbf16> -> tensor<8x2xf32>
  tg.write @"gradient:w", %w : tensor<8x2xf32>
  return
}
tg.state @w weight trainable : tensor<8x2xf32>
tg.state @"gradient:w" gradient : tensor<8x2xf32>

// -----

// What another reads rounded stays rounded, and so does what is no gradient.
// CHECK-LABEL: func.func @micro_kept
func.func @micro_kept() {
  %x = tg.input "x" : tensor<4xf32>
  // CHECK: %[[N:.*]] = tg.cast %{{.*}} : tensor<4xf32> -> tensor<4xbf16>
  // CHECK: %[[W:.*]] = tg.cast %[[N]]
  // CHECK: tg.output "rounded", %[[N]]
  // CHECK: tg.write @"gradient:w", %[[W]]
  // CHECK: tg.write @moment, %[[W]]
  %n = tg.cast %x : tensor<4xf32> -> tensor<4xbf16>
  %w = tg.cast %n : tensor<4xbf16> -> tensor<4xf32>
  tg.output "rounded", %n : tensor<4xbf16>
  tg.write @"gradient:w", %w : tensor<4xf32>
  tg.write @moment, %w : tensor<4xf32>
  return
}
tg.state @w weight trainable : tensor<4xf32>
tg.state @"gradient:w" gradient : tensor<4xf32>
tg.state @moment moment : tensor<4xf32>

// -----

// One gradient that two weights have, one of them in a sum with another's.
// CHECK-LABEL: func.func @micro_shared
func.func @micro_shared() {
  %x = tg.input "x" : tensor<4x8xf16>
  %d = tg.input "d" : tensor<4x2xf16>
  %r = tg.input "r" : tensor<8x2xf32>
  // CHECK: %[[P:.*]] = tg.dot_general {{.*}} : (tensor<4x8xf16>, tensor<4x2xf16>) -> tensor<8x2xf32>
  // CHECK-NOT: tg.cast
  // CHECK: tg.write @"gradient:w", %[[P]]
  // CHECK: %[[S:.*]] = tg.add %[[P]], %{{.*}} : tensor<8x2xf32>
  // CHECK: tg.write @"gradient:v", %[[S]]
  %p = tg.dot_general %x, %d {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>}
    : (tensor<4x8xf16>, tensor<4x2xf16>) -> tensor<8x2xf16>
  %q = tg.cast %p : tensor<8x2xf16> -> tensor<8x2xf32>
  tg.write @"gradient:w", %q : tensor<8x2xf32>
  %s = tg.add %q, %r : tensor<8x2xf32>
  tg.write @"gradient:v", %s : tensor<8x2xf32>
  return
}
tg.state @w weight trainable : tensor<8x2xf32>
tg.state @"gradient:w" gradient : tensor<8x2xf32>
tg.state @v weight trainable : tensor<8x2xf32>
tg.state @"gradient:v" gradient : tensor<8x2xf32>
