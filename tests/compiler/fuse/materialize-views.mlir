// RUN: vcc-opt %s --tg-materialize-views | FileCheck %s

// An output needs a whole tensor: the transposed view is copied.
// CHECK-LABEL: func.func @output
func.func @output() {
  %x = tg.input "x" : tensor<2x3xf32>
  // CHECK: %[[T:.*]] = tg.transpose
  // CHECK: %[[C:.*]] = tg.barrier %[[T]]
  // CHECK: tg.output "y", %[[C]]
  %t = tg.transpose %x {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  tg.output "y", %t : tensor<3x2xf32>
  return
}

// Must not fire: kernels read views by strides, and a reshape is the same tensor.
// CHECK-LABEL: func.func @keeps_views
func.func @keeps_views() {
  %x = tg.input "x" : tensor<2x3xf32>
  // CHECK-NOT: tg.barrier
  %t = tg.transpose %x {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = tg.exp %t : tensor<3x2xf32>
  %r = tg.reshape %x : (tensor<2x3xf32>) -> tensor<6xf32>
  tg.output "y", %y : tensor<3x2xf32>
  tg.output "r", %r : tensor<6xf32>
  return
}

// A reshape of a transposed tensor moves data.
// CHECK-LABEL: func.func @reshape
func.func @reshape() {
  %x = tg.input "x" : tensor<2x3xf32>
  %t = tg.transpose %x {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  // CHECK: %[[C:.*]] = tg.barrier
  // CHECK: tg.reshape %[[C]]
  %r = tg.reshape %t : (tensor<3x2xf32>) -> tensor<6xf32>
  %y = tg.exp %r : tensor<6xf32>
  tg.output "y", %y : tensor<6xf32>
  return
}

// Each part of a concatenation is a value of its own.
// CHECK-LABEL: func.func @concat
func.func @concat() {
  %x = tg.input "x" : tensor<2x3xf32>
  // CHECK: %[[A:.*]] = tg.barrier
  // CHECK: %[[B:.*]] = tg.barrier
  // CHECK: tg.concat %[[A]], %[[B]]
  %y = tg.concat %x, %x {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x6xf32>
  tg.output "y", %y : tensor<2x6xf32>
  return
}

// An iota that is repeated is an iota of the larger shape.
// CHECK-LABEL: func.func @iota
func.func @iota() {
  // CHECK: tg.iota {axis = 1 : i64} : tensor<4x8xi32>
  // CHECK-NOT: tg.barrier
  %i = tg.iota : tensor<8xi32>
  %b = tg.broadcast %i {axes = array<i64: 1>} : (tensor<8xi32>) -> tensor<4x8xi32>
  %y = tg.neg %b : tensor<4x8xi32>
  tg.output "y", %y : tensor<4x8xi32>
  return
}

// Copies of the same elements are one, whatever their shapes; other elements are another copy.
// CHECK-LABEL: func.func @copies
func.func @copies() {
  %x = tg.input "x" : tensor<4x6xf32>
  %a = tg.slice %x {offsets = array<i64: 0, 2>, sizes = array<i64: 4, 3>, strides = array<i64: 1, 1>} : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %b = tg.slice %x {offsets = array<i64: 0, 2>, sizes = array<i64: 4, 3>, strides = array<i64: 1, 1>} : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %c = tg.slice %x {offsets = array<i64: 0, 3>, sizes = array<i64: 4, 3>, strides = array<i64: 1, 1>} : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %br = tg.reshape %b : (tensor<4x3xf32>) -> tensor<4x1x3xf32>
  // CHECK: %[[A:.*]] = tg.barrier
  %aw = tg.barrier %a : tensor<4x3xf32>
  // CHECK-NOT: tg.barrier
  // CHECK: %[[B:.*]] = tg.reshape %[[A]]
  %bw = tg.barrier %br : tensor<4x1x3xf32>
  // CHECK: %[[C:.*]] = tg.barrier
  %cw = tg.barrier %c : tensor<4x3xf32>
  // CHECK: tg.output "b", %[[B]]
  tg.output "a", %aw : tensor<4x3xf32>
  tg.output "b", %bw : tensor<4x1x3xf32>
  tg.output "c", %cw : tensor<4x3xf32>
  return
}

// A border keeps what lies in memory; what is made on the spot leaves it, and a border of nothing is none.
// CHECK-LABEL: func.func @borders
func.func @borders() {
  %rng = tg.input "rng" : tensor<4xi32>
  %x = tg.input "x" : tensor<1x5xf32>
  %draw = tg.random_uniform %rng {site = #tg.site<"drop">} : (tensor<4xi32>) -> tensor<1x5xf32>
  %flat = tg.reshape %draw : (tensor<1x5xf32>) -> tensor<5xf32>
  // CHECK: %[[X:.*]] = tg.input "x"
  // CHECK-COUNT-1: tg.barrier %[[X]], %[[X]]
  // CHECK-NOT: tg.barrier {{.*}},
  %some:2 = tg.barrier %x, %draw : tensor<1x5xf32>, tensor<1x5xf32>
  %none:2 = tg.barrier %draw, %flat : tensor<1x5xf32>, tensor<5xf32>
  %sum = tg.add %some#0, %some#1 : tensor<1x5xf32>
  // CHECK: tg.output "sum"
  tg.output "sum", %sum : tensor<1x5xf32>
  tg.output "draw", %none#1 : tensor<5xf32>
  return
}

// What goes to other ranks lies in one piece.
// CHECK-LABEL: func.func @between_ranks
func.func @between_ranks() {
  %x = tg.input "x" : tensor<2x4xf32>
  // CHECK: %[[T:.*]] = tg.transpose
  // CHECK: %[[C:.*]] = tg.barrier %[[T]]
  // CHECK: tg.all_gather %[[C]]
  %t = tg.transpose %x {permutation = array<i64: 1, 0>} : (tensor<2x4xf32>) -> tensor<4x2xf32>
  %all = tg.all_gather %t {ranks = 2 : i64} : (tensor<4x2xf32>) -> tensor<8x2xf32>
  // CHECK: %[[U:.*]] = tg.transpose
  // CHECK: %[[D:.*]] = tg.barrier %[[U]]
  // CHECK: tg.reduce_scatter %[[D]]
  %u = tg.transpose %all {permutation = array<i64: 1, 0>} : (tensor<8x2xf32>) -> tensor<2x8xf32>
  %part = tg.reduce_scatter %u {ranks = 2 : i64} : (tensor<2x8xf32>) -> tensor<1x8xf32>
  tg.output "y", %part : tensor<1x8xf32>
  return
}

// A concatenation that is only read to be rounded has its parts rounded.
// CHECK-LABEL: func.func @rounded_whole
func.func @rounded_whole() {
  %x = tg.input "x" : tensor<2x3xf32>
  %y = tg.exp %x : tensor<2x3xf32>
  %z = tg.sin %x : tensor<2x3xf32>
  // CHECK: %[[Y:.*]] = tg.cast %{{.*}} : tensor<2x3xf32> -> tensor<2x3xbf16>
  // CHECK: %[[Z:.*]] = tg.cast %{{.*}} : tensor<2x3xf32> -> tensor<2x3xbf16>
  // CHECK: tg.concat %{{.*}}, %{{.*}} {axis = 1 : i64} : {{.*}} -> tensor<2x6xbf16>
  // CHECK-NOT: xf32
  %c = tg.concat %y, %z {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x6xf32>
  %r = tg.reshape %c : (tensor<2x6xf32>) -> tensor<12xf32>
  %n = tg.cast %r : tensor<12xf32> -> tensor<12xbf16>
  tg.output "n", %n : tensor<12xbf16>
  return
}
