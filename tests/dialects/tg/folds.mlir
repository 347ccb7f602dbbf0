// RUN: vcc-opt %s --tg-simplify | FileCheck %s

// Adding nothing, multiplying by one, twice negated: the operand.
// CHECK-LABEL: func.func @neutral
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32>)
func.func @neutral(%x: tensor<4xf32>) {
  %zero = tg.constant dense<0.0> : tensor<4xf32>
  %one = tg.constant dense<1.0> : tensor<4xf32>
  %0 = tg.add %zero, %x : tensor<4xf32>
  %1 = tg.mul %0, %one : tensor<4xf32>
  %2 = tg.sub %1, %zero : tensor<4xf32>
  %3 = tg.div %2, %one : tensor<4xf32>
  %4 = tg.neg %3 : tensor<4xf32>
  %5 = tg.neg %4 : tensor<4xf32>
  %6 = tg.pow %5, %one : tensor<4xf32>
  %7 = tg.cast %6 : tensor<4xf32> -> tensor<4xf32>
  // CHECK-NEXT: tg.output "y", %[[X]]
  tg.output "y", %7 : tensor<4xf32>
  return
}

// CHECK-LABEL: func.func @keeps_times_zero
func.func @keeps_times_zero(%x: tensor<4xf32>) {
  %zero = tg.constant dense<0.0> : tensor<4xf32>
  // Zero times infinity is no zero.
  // CHECK: tg.mul
  %0 = tg.mul %x, %zero : tensor<4xf32>
  tg.output "y", %0 : tensor<4xf32>
  return
}

// Movements that move nothing, and movements of movements.
// CHECK-LABEL: func.func @movements
// CHECK-SAME: (%[[X:.*]]: tensor<2x3xf32>)
func.func @movements(%x: tensor<2x3xf32>) {
  %0 = tg.reshape %x : (tensor<2x3xf32>) -> tensor<6xf32>
  %1 = tg.reshape %0 : (tensor<6xf32>) -> tensor<2x3xf32>
  %2 = tg.transpose %1 {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %3 = tg.transpose %2 {permutation = array<i64: 1, 0>} : (tensor<3x2xf32>) -> tensor<2x3xf32>
  %4 = tg.slice %3 {offsets = array<i64: 0, 0>, sizes = array<i64: 2, 3>, strides = array<i64: 1, 1>}
      : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %5 = tg.broadcast %4 {axes = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %6 = tg.pad %5 {low = array<i64: 0, 0>, high = array<i64: 0, 0>} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %7 = tg.concat %6 {axis = 0 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %8 = tg.all_gather %7 {ranks = 1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %9 = tg.reduce_scatter %8 {ranks = 1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  // CHECK-NEXT: tg.output "y", %[[X]]
  tg.output "y", %9 : tensor<2x3xf32>
  return
}

// CHECK-LABEL: func.func @moves_only_units
func.func @moves_only_units(%x: tensor<2x1x3xf32>) {
  // CHECK: tg.reshape %{{.*}} : (tensor<2x1x3xf32>) -> tensor<1x2x3xf32>
  %0 = tg.transpose %x {permutation = array<i64: 1, 0, 2>} : (tensor<2x1x3xf32>) -> tensor<1x2x3xf32>
  tg.output "y", %0 : tensor<1x2x3xf32>
  return
}

// CHECK-LABEL: func.func @slice_of_slice
func.func @slice_of_slice(%x: tensor<20xf32>) {
  // CHECK: tg.slice %{{.*}} {offsets = array<i64: 5>, sizes = array<i64: 2>, strides = array<i64: 6>}
  %0 = tg.slice %x {offsets = array<i64: 1>, sizes = array<i64: 9>, strides = array<i64: 2>} : (tensor<20xf32>) -> tensor<9xf32>
  %1 = tg.slice %0 {offsets = array<i64: 2>, sizes = array<i64: 2>, strides = array<i64: 3>} : (tensor<9xf32>) -> tensor<2xf32>
  tg.output "y", %1 : tensor<2xf32>
  return
}

// An axis of size 1 is dropped before its repetition.
// CHECK-LABEL: func.func @stretch
func.func @stretch(%x: tensor<2x1xf32>) {
  // CHECK: %[[D:.*]] = tg.reshape %{{.*}} : (tensor<2x1xf32>) -> tensor<2xf32>
  // CHECK: tg.broadcast %[[D]] {axes = array<i64: 0>} : (tensor<2xf32>) -> tensor<2x5xf32>
  %0 = tg.broadcast %x {axes = array<i64: 0, 1>} : (tensor<2x1xf32>) -> tensor<2x5xf32>
  tg.output "y", %0 : tensor<2x5xf32>
  return
}

// CHECK-LABEL: func.func @broadcast_of_broadcast
func.func @broadcast_of_broadcast(%x: tensor<3xf32>) {
  // CHECK: tg.broadcast %{{.*}} {axes = array<i64: 2>} : (tensor<3xf32>) -> tensor<4x2x3x5xf32>
  %0 = tg.broadcast %x {axes = array<i64: 1>} : (tensor<3xf32>) -> tensor<2x3xf32>
  %1 = tg.broadcast %0 {axes = array<i64: 1, 2>} : (tensor<2x3xf32>) -> tensor<4x2x3x5xf32>
  tg.output "y", %1 : tensor<4x2x3x5xf32>
  return
}

// Splats fold at any size when nothing is rounded; small constants by meaning.
// CHECK-LABEL: func.func @constants
func.func @constants() {
  %half = tg.constant dense<0.5> : tensor<f32>
  %0 = tg.broadcast %half {axes = array<i64>} : (tensor<f32>) -> tensor<1000x1000xf32>
  %1 = tg.add %0, %0 : tensor<1000x1000xf32>
  // CHECK: %[[A:.*]] = tg.constant dense<1.000000e+00> : tensor<1000x1000xf32>
  // CHECK: tg.output "a", %[[A]]
  tg.output "a", %1 : tensor<1000x1000xf32>
  %2 = tg.constant dense<[1, 2, 3]> : tensor<3xi32>
  %3 = tg.reduce %2 {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<3xi32>) -> tensor<i32>
  // CHECK: tg.output "b", %{{.*}} : tensor<i32>
  tg.output "b", %3 : tensor<i32>
  return
}

// What would round stays: the oracle computes it in f64.
// CHECK-LABEL: func.func @keeps_inexact
func.func @keeps_inexact() {
  %three = tg.constant dense<3.0> : tensor<f32>
  // CHECK: tg.rsqrt
  %0 = tg.rsqrt %three : tensor<f32>
  tg.output "y", %0 : tensor<f32>
  return
}

// CHECK-LABEL: func.func @select
// CHECK-SAME: (%[[A:.*]]: tensor<2xf32>, %[[B:.*]]: tensor<2xf32>, %[[C:.*]]: tensor<2xi1>)
func.func @select(%a: tensor<2xf32>, %b: tensor<2xf32>, %c: tensor<2xi1>) {
  %yes = tg.constant dense<true> : tensor<2xi1>
  %0 = tg.select %yes, %a, %b : tensor<2xi1>, tensor<2xf32>
  %1 = tg.select %c, %b, %b : tensor<2xi1>, tensor<2xf32>
  %2 = tg.and %c, %yes : tensor<2xi1>
  // CHECK: tg.output "a", %[[A]]
  // CHECK: tg.output "b", %[[B]]
  // CHECK: tg.output "c", %[[C]]
  tg.output "a", %0 : tensor<2xf32>
  tg.output "b", %1 : tensor<2xf32>
  tg.output "c", %2 : tensor<2xi1>
  return
}

// CHECK-LABEL: func.func @powers
// CHECK-SAME: (%[[X:.*]]: tensor<2xf32>)
func.func @powers(%x: tensor<2xf32>) {
  %two = tg.constant dense<2.0> : tensor<2xf32>
  %half = tg.constant dense<0.5> : tensor<2xf32>
  // CHECK: tg.mul %[[X]], %[[X]]
  %0 = tg.pow %x, %two : tensor<2xf32>
  // CHECK: tg.sqrt %[[X]]
  %1 = tg.pow %x, %half : tensor<2xf32>
  tg.output "a", %0 : tensor<2xf32>
  tg.output "b", %1 : tensor<2xf32>
  return
}

// A state is read once between writes, and again after one.
tg.state @w weight : tensor<2xf32>
// CHECK-LABEL: func.func @reads
func.func @reads() {
  // CHECK: %[[R:.*]] = tg.read @w
  // CHECK-NOT: tg.read
  // CHECK: tg.add %[[R]], %[[R]]
  %0 = tg.read @w : tensor<2xf32>
  %1 = tg.read @w : tensor<2xf32>
  %2 = tg.add %0, %1 : tensor<2xf32>
  // CHECK: tg.write
  tg.write @w, %2 : tensor<2xf32>
  // CHECK: tg.read @w
  %3 = tg.read @w : tensor<2xf32>
  tg.output "y", %3 : tensor<2xf32>
  return
}

// Equal site, equal draw; another site, another draw.
// CHECK-LABEL: func.func @draws
func.func @draws(%rng: tensor<4xi32>) {
  // CHECK-COUNT-2: tg.random_uniform
  // CHECK-NOT: tg.random_uniform
  %0 = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<2xf32>
  %1 = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<2xf32>
  %2 = tg.random_uniform %rng {site = #tg.site<"b">} : (tensor<4xi32>) -> tensor<2xf32>
  %3 = tg.add %0, %1 : tensor<2xf32>
  %4 = tg.add %3, %2 : tensor<2xf32>
  tg.output "y", %4 : tensor<2xf32>
  return
}

// There and back again is nothing; back and there rounds.
// CHECK-LABEL: func.func @casts
// CHECK-SAME: (%[[X:.*]]: tensor<4xbf16>, %[[Y:.*]]: tensor<4xf32>)
func.func @casts(%x: tensor<4xbf16>, %y: tensor<4xf32>) {
  %0 = tg.cast %x : tensor<4xbf16> -> tensor<4xf32>
  %1 = tg.cast %0 : tensor<4xf32> -> tensor<4xbf16>
  // CHECK: tg.output "same", %[[X]]
  tg.output "same", %1 : tensor<4xbf16>
  // CHECK: %[[N:.*]] = tg.cast %[[Y]]
  // CHECK: %[[W:.*]] = tg.cast %[[N]]
  // CHECK: tg.output "rounded", %[[W]]
  %2 = tg.cast %y : tensor<4xf32> -> tensor<4xbf16>
  %3 = tg.cast %2 : tensor<4xbf16> -> tensor<4xf32>
  tg.output "rounded", %3 : tensor<4xf32>
  return
}
