// RUN: vcc-opt %s --tg-split-composites | FileCheck %s

tg.state @"gradient:w" gradient : tensor<8xf32>

// Softmax is a maximum, an exponential, a sum and a product per row.
// CHECK-LABEL: func.func @softmax
func.func @softmax() {
  // CHECK: %[[X:.*]] = tg.input "x"
  %x = tg.input "x" : tensor<4x8xf32>
  // CHECK: tg.reduce %[[X]] {axes = array<i64: 1>, kind = #tg.reduce_kind<max>}
  // CHECK: %[[E:.*]] = tg.exp
  // CHECK: tg.reduce %[[E]] {axes = array<i64: 1>, kind = #tg.reduce_kind<sum>}
  // CHECK: tg.mul %[[E]]
  // CHECK-NOT: tg.softmax
  %y = tg.softmax %x : tensor<4x8xf32>
  tg.output "y", %y : tensor<4x8xf32>
  return
}

// A loss that ignores no smoothing has no mean of the logits.
// CHECK-LABEL: func.func @cross_entropy
func.func @cross_entropy() {
  %x = tg.input "x" : tensor<4x8xf32>
  %l = tg.input "l" : tensor<4xi32>
  // CHECK-COUNT-3: tg.reduce %
  // CHECK-NOT: tg.reduce %
  // CHECK: tg.output
  %y:2 = tg.cross_entropy %x, %l : (tensor<4x8xf32>, tensor<4xi32>) -> (tensor<4xf32>, tensor<4xf32>)
  tg.output "y", %y#0 : tensor<4xf32>
  return
}

// A reduction over the axis in the middle goes over the last axis of a transposed view.
// CHECK-LABEL: func.func @middle
func.func @middle() {
  // CHECK: %[[X:.*]] = tg.input "x"
  %x = tg.input "x" : tensor<2x3x4xf32>
  // CHECK: %[[T:.*]] = tg.transpose %[[X]] {permutation = array<i64: 0, 2, 1>}
  // CHECK: tg.reduce %[[T]] {axes = array<i64: 2>, kind = #tg.reduce_kind<max>}
  %y = tg.reduce %x {kind = #tg.reduce_kind<max>, axes = array<i64: 1>} : (tensor<2x3x4xf32>) -> tensor<2x4xf32>
  tg.output "y", %y : tensor<2x4xf32>
  return
}

// A sum over the leading axes is one over the rows of a matrix.
// CHECK-LABEL: func.func @leading
func.func @leading() {
  %x = tg.input "x" : tensor<2x3x4xf32>
  // CHECK: %[[R:.*]] = tg.reshape %{{.*}} : (tensor<2x3x4xf32>) -> tensor<6x4xf32>
  // CHECK: tg.reduce %[[R]] {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<6x4xf32>) -> tensor<4xf32>
  %y = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1>} : (tensor<2x3x4xf32>) -> tensor<4xf32>
  tg.output "y", %y : tensor<4xf32>
  return
}

// Must not fire: a reduction over the last axis is what kernels do.
// CHECK-LABEL: func.func @keeps_last
func.func @keeps_last() {
  %x = tg.input "x" : tensor<6x4xf32>
  // CHECK-NOT: tg.reshape
  // CHECK: tg.reduce %{{.*}} {axes = array<i64: 1>
  %y = tg.reduce %x {kind = #tg.reduce_kind<min>, axes = array<i64: 1>} : (tensor<6x4xf32>) -> tensor<6xf32>
  tg.output "y", %y : tensor<6xf32>
  return
}

// The gradients of two slices that cover a tensor are one concatenation.
// CHECK-LABEL: func.func @joined_pads
func.func @joined_pads() {
  // CHECK: %[[A:.*]] = tg.input "a"
  // CHECK: %[[B:.*]] = tg.input "b"
  %a = tg.input "a" : tensor<4x2xf32>
  %b = tg.input "b" : tensor<4x3xf32>
  %p = tg.pad %a {low = array<i64: 0, 0>, high = array<i64: 0, 3>} : (tensor<4x2xf32>) -> tensor<4x5xf32>
  %q = tg.pad %b {low = array<i64: 0, 2>, high = array<i64: 0, 0>} : (tensor<4x3xf32>) -> tensor<4x5xf32>
  // CHECK: tg.concat %[[A]], %[[B]]
  // CHECK-NOT: tg.add
  %s = tg.add %p, %q : tensor<4x5xf32>
  tg.output "s", %s : tensor<4x5xf32>
  return
}

// Must not fire: pieces that overlap are added.
// CHECK-LABEL: func.func @keeps_overlap
func.func @keeps_overlap() {
  %a = tg.input "a" : tensor<4x3xf32>
  %b = tg.input "b" : tensor<4x3xf32>
  %p = tg.pad %a {low = array<i64: 0, 0>, high = array<i64: 0, 2>} : (tensor<4x3xf32>) -> tensor<4x5xf32>
  %q = tg.pad %b {low = array<i64: 0, 2>, high = array<i64: 0, 0>} : (tensor<4x3xf32>) -> tensor<4x5xf32>
  // CHECK: tg.add
  %s = tg.add %p, %q : tensor<4x5xf32>
  tg.output "s", %s : tensor<4x5xf32>
  return
}

// An accumulating write is a read, an addition and a write.
// CHECK-LABEL: func.func @accumulation
func.func @accumulation() {
  %x = tg.input "x" : tensor<8xf32>
  // CHECK: %[[OLD:.*]] = tg.read @"gradient:w"
  // CHECK: %[[NEW:.*]] = tg.add %[[OLD]]
  // CHECK: tg.write @"gradient:w", %[[NEW]] : tensor<8xf32>
  tg.write @"gradient:w", %x {accumulate} : tensor<8xf32>
  return
}
