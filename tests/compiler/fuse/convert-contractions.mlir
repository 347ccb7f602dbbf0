// RUN: vcc-opt %s --tg-convert-contractions | FileCheck %s

tg.state @bias weight : tensor<8xf32>

// x w^T over two leading axes is one product of 6 rows; the bias and the residual are part of it.
// CHECK-LABEL: func.func @linear
func.func @linear() {
  // CHECK: %[[X:.*]] = tg.input "x"
  // CHECK: %[[W:.*]] = tg.input "w"
  // CHECK: %[[R:.*]] = tg.input "r"
  // CHECK: %[[B:.*]] = tg.read @bias
  %x = tg.input "x" : tensor<2x3x4xf32>
  %w = tg.input "w" : tensor<8x4xf32>
  %r = tg.input "r" : tensor<2x3x8xf32>
  %b = tg.read @bias : tensor<8xf32>
  %y = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, contract_b = array<i64: 1>} : (tensor<2x3x4xf32>, tensor<8x4xf32>) -> tensor<2x3x8xf32>
  %bb = tg.broadcast %b {axes = array<i64: 2>} : (tensor<8xf32>) -> tensor<2x3x8xf32>
  %z = tg.add %y, %bb : tensor<2x3x8xf32>
  %s = tg.add %r, %z : tensor<2x3x8xf32>
  // CHECK: %[[S:.*]] = tg.gemm %[[X]], %[[W]] bias(%[[B]] : tensor<8xf32>) addend(%[[R]] : tensor<2x3x8xf32>)
  // CHECK-SAME: a_strides = array<i64: 4, 1>
  // CHECK-SAME: b_strides = array<i64: 1, 4>
  // CHECK-SAME: k = 4 : i64, m = 6 : i64, n = 8 : i64
  // CHECK-NOT: tg.add
  // CHECK: tg.output "s", %[[S]]
  tg.output "s", %s : tensor<2x3x8xf32>
  return
}

// Must not fire: a product with another use keeps its own value.
// CHECK-LABEL: func.func @keeps_used_product
func.func @keeps_used_product() {
  %x = tg.input "x" : tensor<6x4xf32>
  %w = tg.input "w" : tensor<8x4xf32>
  %r = tg.input "r" : tensor<6x8xf32>
  // CHECK: tg.gemm
  // CHECK-NOT: addend
  %y = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<6x4xf32>, tensor<8x4xf32>) -> tensor<6x8xf32>
  // CHECK: tg.add
  %s = tg.add %r, %y : tensor<6x8xf32>
  tg.output "s", %s : tensor<6x8xf32>
  tg.output "y", %y : tensor<6x8xf32>
  return
}

// Heads of a [B, S, H, D] tensor as batches: two batch axes with strides, nothing moves.
// CHECK-LABEL: func.func @heads
func.func @heads() {
  %q = tg.input "q" : tensor<2x3x4x5xf32>
  %k = tg.input "k" : tensor<2x6x4x5xf32>
  // CHECK-NOT: tg.transpose
  // CHECK: tg.gemm
  // CHECK-SAME: a_strides = array<i64: 60, 5, 20, 1>
  // CHECK-SAME: b_strides = array<i64: 120, 5, 1, 20>
  // CHECK-SAME: batch = array<i64: 2, 4>
  %y = tg.dot_general %q, %k {batch_a = array<i64: 0, 2>, batch_b = array<i64: 0, 2>, contract_a = array<i64: 3>, contract_b = array<i64: 3>} : (tensor<2x3x4x5xf32>, tensor<2x6x4x5xf32>) -> tensor<2x4x3x6xf32>
  tg.output "y", %y : tensor<2x4x3x6xf32>
  return
}

// Rows that no single stride steps through are copied in order first.
// CHECK-LABEL: func.func @copied
func.func @copied() {
  %x = tg.input "x" : tensor<2x3x5x4xf32>
  %w = tg.input "w" : tensor<8x4xf32>
  %t = tg.transpose %x {permutation = array<i64: 1, 0, 2, 3>} : (tensor<2x3x5x4xf32>) -> tensor<3x2x5x4xf32>
  // CHECK: %[[C:.*]] = tg.barrier
  // CHECK: tg.gemm %[[C]]
  %y = tg.dot_general %t, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 3>, contract_b = array<i64: 1>} : (tensor<3x2x5x4xf32>, tensor<8x4xf32>) -> tensor<3x2x5x8xf32>
  tg.output "y", %y : tensor<3x2x5x8xf32>
  return
}

// Some rows of each sample are copied in their own order for the product, and in the same one for the weight's gradient, which reads
// the copy along its columns: later passes see equal copies.
// CHECK-LABEL: func.func @copies_in_the_order_of_memory
func.func @copies_in_the_order_of_memory() {
  // CHECK-NOT: tg.transpose
  // CHECK: %[[S:.*]] = tg.slice
  // CHECK: %[[C:.*]] = tg.barrier %[[S]]
  // CHECK: tg.gemm %[[C]], %{{.*}} {a_strides = array<i64: 4, 1>
  // CHECK: %[[D:.*]] = tg.barrier %[[S]]
  // CHECK: tg.gemm %[[D]], %{{.*}} {a_strides = array<i64: 1, 4>, {{.*}}k = 4 : i64, m = 4 : i64, n = 8 : i64}
  %x = tg.input "x" : tensor<2x3x4xf32>
  %w = tg.input "w" : tensor<4x8xf32>
  %dy = tg.input "dy" : tensor<2x2x8xf32>
  %s = tg.slice %x {offsets = array<i64: 0, 1, 0>, sizes = array<i64: 2, 2, 4>, strides = array<i64: 1, 1, 1>} : (tensor<2x3x4xf32>) -> tensor<2x2x4xf32>
  %y = tg.dot_general %s, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, contract_b = array<i64: 0>} : (tensor<2x2x4xf32>, tensor<4x8xf32>) -> tensor<2x2x8xf32>
  %dw = tg.dot_general %s, %dy {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0, 1>, contract_b = array<i64: 0, 1>} : (tensor<2x2x4xf32>, tensor<2x2x8xf32>) -> tensor<4x8xf32>
  tg.output "y", %y : tensor<2x2x8xf32>
  tg.output "dw", %dw : tensor<4x8xf32>
  return
}

// Must not fire: a matrix that is the same for every batch is no vector that is the same for every row.
// CHECK-LABEL: func.func @keeps_matrix_of_every_batch
func.func @keeps_matrix_of_every_batch() {
  %x = tg.input "x" : tensor<2x3x4xf32>
  %w = tg.input "w" : tensor<2x8x4xf32>
  %b = tg.input "b" : tensor<3x8xf32>
  // CHECK: tg.gemm
  // CHECK-NOT: bias
  %y = tg.dot_general %x, %w {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 2>, contract_b = array<i64: 2>} : (tensor<2x3x4xf32>, tensor<2x8x4xf32>) -> tensor<2x3x8xf32>
  %bb = tg.broadcast %b {axes = array<i64: 1, 2>} : (tensor<3x8xf32>) -> tensor<2x3x8xf32>
  // CHECK: tg.add
  %z = tg.add %y, %bb : tensor<2x3x8xf32>
  tg.output "z", %z : tensor<2x3x8xf32>
  return
}

// Batches that follow each other on one side only stay two.
// CHECK-LABEL: func.func @batches_of_one_side
func.func @batches_of_one_side() {
  %x = tg.input "x" : tensor<2x3x4x5xf32>
  %k = tg.input "k" : tensor<3x2x6x5xf32>
  // CHECK: tg.gemm
  // CHECK-SAME: a_strides = array<i64: 60, 20, 5, 1>
  // CHECK-SAME: b_strides = array<i64: 30, 60, 1, 5>
  // CHECK-SAME: batch = array<i64: 2, 3>
  %y = tg.dot_general %x, %k {batch_a = array<i64: 0, 1>, batch_b = array<i64: 1, 0>, contract_a = array<i64: 3>, contract_b = array<i64: 3>} : (tensor<2x3x4x5xf32>, tensor<3x2x6x5xf32>) -> tensor<2x3x4x6xf32>
  tg.output "y", %y : tensor<2x3x4x6xf32>
  return
}

// A product of bf16 that is summed in f32 and rounded behind its bias and a residual in memory rounds itself; who reads it as f32
// widens it.
// CHECK-LABEL: func.func @rounds_itself
func.func @rounds_itself() {
  // CHECK: %[[X:.*]] = tg.input "x"
  // CHECK: %[[R:.*]] = tg.input "r"
  // CHECK: %[[B:.*]] = tg.input "b"
  %x = tg.input "x" : tensor<6x8xbf16>
  %w = tg.input "w" : tensor<8x8xbf16>
  %r = tg.input "r" : tensor<6x8xbf16>
  %b = tg.input "b" : tensor<8xbf16>
  %y = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<6x8xbf16>, tensor<8x8xbf16>) -> tensor<6x8xf32>
  %b32 = tg.cast %b : tensor<8xbf16> -> tensor<8xf32>
  %bb = tg.broadcast %b32 {axes = array<i64: 1>} : (tensor<8xf32>) -> tensor<6x8xf32>
  %z = tg.add %y, %bb : tensor<6x8xf32>
  %r32 = tg.cast %r : tensor<6x8xbf16> -> tensor<6x8xf32>
  %s = tg.add %r32, %z : tensor<6x8xf32>
  %s16 = tg.cast %s : tensor<6x8xf32> -> tensor<6x8xbf16>
  %s32 = tg.cast %s16 : tensor<6x8xbf16> -> tensor<6x8xf32>
  // CHECK: %[[S:.*]] = tg.gemm %[[X]], %{{.*}} bias(%[[B]] : tensor<8xbf16>) addend(%[[R]] : tensor<6x8xbf16>) {{.*}} -> tensor<6x8xbf16>
  // CHECK: tg.cast %[[S]] : tensor<6x8xbf16> -> tensor<6x8xf32>
  tg.output "s", %s32 : tensor<6x8xf32>
  return
}

// Must not fire: the sum is read before it is rounded, and a residual in f32 is not of the product's type.
// CHECK-LABEL: func.func @keeps_its_sums
func.func @keeps_its_sums() {
  %x = tg.input "x" : tensor<6x8xbf16>
  %w = tg.input "w" : tensor<8x8xbf16>
  %r = tg.input "r" : tensor<6x8xf32>
  // CHECK: tg.gemm %{{.*}}, %{{.*}} {{.*}} -> tensor<6x8xf32>
  // CHECK: tg.gemm %{{.*}}, %{{.*}} addend(%{{.*}} : tensor<6x8xf32>) {{.*}} -> tensor<6x8xf32>
  %y = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<6x8xbf16>, tensor<8x8xbf16>) -> tensor<6x8xf32>
  %n = tg.cast %y : tensor<6x8xf32> -> tensor<6x8xbf16>
  tg.output "y", %y : tensor<6x8xf32>
  tg.output "n", %n : tensor<6x8xbf16>
  %z = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<6x8xbf16>, tensor<8x8xbf16>) -> tensor<6x8xf32>
  %s = tg.add %z, %r : tensor<6x8xf32>
  %s16 = tg.cast %s : tensor<6x8xf32> -> tensor<6x8xbf16>
  tg.output "s", %s16 : tensor<6x8xbf16>
  return
}

// What each head gives is written beside the other heads' at once: no transpose is left to copy it.
// CHECK-LABEL: func.func @writes_heads_beside_each_other
func.func @writes_heads_beside_each_other() {
  %p = tg.input "p" : tensor<2x4x3x6xf32>
  %v = tg.input "v" : tensor<2x6x4x5xf32>
  // CHECK-NOT: tg.transpose
  // CHECK: %[[O:.*]] = tg.gemm
  // CHECK-SAME: batch = array<i64: 2, 4>, c_strides = array<i64: 60, 5, 20, 1>
  // CHECK-SAME: -> tensor<2x3x4x5xf32>
  // CHECK: tg.output "o", %[[O]]
  %y = tg.dot_general %p, %v {batch_a = array<i64: 0, 1>, batch_b = array<i64: 0, 2>, contract_a = array<i64: 3>, contract_b = array<i64: 1>} : (tensor<2x4x3x6xf32>, tensor<2x6x4x5xf32>) -> tensor<2x4x3x5xf32>
  %o = tg.transpose %y {permutation = array<i64: 0, 2, 1, 3>} : (tensor<2x4x3x5xf32>) -> tensor<2x3x4x5xf32>
  tg.output "o", %o : tensor<2x3x4x5xf32>
  return
}

// Must not fire: rows of two query heads to a key head lie in no single stride; columns that are no neighbours are no library's
// matrix; and a product that is read in its own order too stays in it.
// CHECK-LABEL: func.func @keeps_transposes
func.func @keeps_transposes() {
  %p = tg.input "p" : tensor<2x2x2x3x6xf32>
  %v = tg.input "v" : tensor<2x6x2x5xf32>
  // CHECK: tg.gemm
  // CHECK-SAME: -> tensor<2x2x2x3x5xf32>
  // CHECK: tg.transpose
  %y = tg.dot_general %p, %v {batch_a = array<i64: 0, 1>, batch_b = array<i64: 0, 2>, contract_a = array<i64: 4>, contract_b = array<i64: 1>} : (tensor<2x2x2x3x6xf32>, tensor<2x6x2x5xf32>) -> tensor<2x2x2x3x5xf32>
  %o = tg.transpose %y {permutation = array<i64: 0, 3, 1, 2, 4>} : (tensor<2x2x2x3x5xf32>) -> tensor<2x3x2x2x5xf32>
  tg.output "o", %o : tensor<2x3x2x2x5xf32>
  %q = tg.input "q" : tensor<2x3x6xf32>
  %w = tg.input "w" : tensor<2x6x5xf32>
  // CHECK: tg.gemm
  // CHECK-SAME: -> tensor<2x3x5xf32>
  // CHECK: tg.transpose
  %z = tg.dot_general %q, %w {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 2>, contract_b = array<i64: 1>} : (tensor<2x3x6xf32>, tensor<2x6x5xf32>) -> tensor<2x3x5xf32>
  %last = tg.transpose %z {permutation = array<i64: 1, 2, 0>} : (tensor<2x3x5xf32>) -> tensor<3x5x2xf32>
  tg.output "last", %last : tensor<3x5x2xf32>
  // CHECK: tg.gemm
  // CHECK-SAME: -> tensor<2x3x5xf32>
  // CHECK: tg.transpose
  %both = tg.dot_general %q, %w {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 2>, contract_b = array<i64: 1>} : (tensor<2x3x6xf32>, tensor<2x6x5xf32>) -> tensor<2x3x5xf32>
  %turned = tg.transpose %both {permutation = array<i64: 1, 0, 2>} : (tensor<2x3x5xf32>) -> tensor<3x2x5xf32>
  tg.output "both", %both : tensor<2x3x5xf32>
  tg.output "turned", %turned : tensor<3x2x5xf32>
  return
}
