// RUN: vcc-opt %s --split-input-file --tg-differentiate --tg-simplify | FileCheck %s

// The forward function becomes the micro-step; the gradient follows the loss and adds.
// CHECK-LABEL: module @linear
module @linear {
  tg.state @w weight trainable : tensor<4xf32>
  // CHECK: tg.state @"gradient:w" gradient : tensor<4xf32>
  // CHECK-NOT: @forward_main
  // CHECK: func.func @micro_main
  func.func @forward_main() {
    // CHECK: %[[X:.*]] = tg.input "x"
    %x = tg.input "x" : tensor<4xf32>
    %w = tg.read @w : tensor<4xf32>
    %p = tg.mul %x, %w : tensor<4xf32>
    %l = tg.reduce %p {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
    // CHECK: tg.loss
    tg.loss %l : tensor<f32>
    // CHECK-NEXT: tg.write @"gradient:w", %[[X]] {accumulate} : tensor<4xf32>
    // CHECK-NEXT: return
    return
  }
}

// -----

// One micro-batch a step: the gradient replaces.
// CHECK-LABEL: module @once
module @once attributes {tg.accumulate = 1 : i64} {
  tg.state @w weight trainable : tensor<f32>
  func.func @forward_main() {
    %w = tg.read @w : tensor<f32>
    // CHECK: tg.write @"gradient:w", %{{.*}} : tensor<f32>
    tg.loss %w : tensor<f32>
    return
  }
}

// -----

// A frozen weight between two trained ones has no gradient, and no product is made for it.
// CHECK-LABEL: module @frozen
module @frozen {
  tg.state @a weight trainable : tensor<4x4xf32>
  tg.state @f weight : tensor<4x4xf32>
  // CHECK-NOT: gradient:f
  func.func @forward_main() {
    %x = tg.input "x" : tensor<8x4xf32>
    %a = tg.read @a : tensor<4x4xf32>
    %f = tg.read @f : tensor<4x4xf32>
    // Two products forward, and backward one for each step from the loss to `a`: none for `f`, none for `x`.
    // CHECK-COUNT-2: tg.dot_general
    // CHECK: tg.loss
    // CHECK-COUNT-2: tg.dot_general
    // CHECK-NOT: tg.dot_general
    // CHECK: tg.write @"gradient:a"
    // CHECK-NOT: tg.write
    %h = tg.dot_general %x, %a {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
        : (tensor<8x4xf32>, tensor<4x4xf32>) -> tensor<8x4xf32>
    %y = tg.dot_general %h, %f {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
        : (tensor<8x4xf32>, tensor<4x4xf32>) -> tensor<8x4xf32>
    %l = tg.reduce %y {axes = array<i64: 0, 1>, kind = #tg.reduce_kind<sum>} : (tensor<8x4xf32>) -> tensor<f32>
    tg.loss %l : tensor<f32>
    return
  }
}

// -----

// Nothing flows below the first trained weight: the frozen encoder under it keeps nothing alive.
// CHECK-LABEL: module @below
module @below {
  tg.state @f weight : tensor<4xf32>
  tg.state @w weight trainable : tensor<4xf32>
  func.func @forward_main() {
    %x = tg.input "x" : tensor<4xf32>
    %f = tg.read @f : tensor<4xf32>
    // CHECK: %[[E:.*]] = tg.exp
    // CHECK: tg.loss
    // CHECK-NOT: tg.mul
    // CHECK: tg.write @"gradient:w", %[[E]]
    %m = tg.mul %x, %f : tensor<4xf32>
    %e = tg.exp %m : tensor<4xf32>
    %w = tg.read @w : tensor<4xf32>
    %p = tg.mul %e, %w : tensor<4xf32>
    %l = tg.reduce %p {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
    tg.loss %l : tensor<f32>
    return
  }
}

// -----

// stop_gradient blocks one of two ways, and is gone afterwards.
// CHECK-LABEL: module @stopped
module @stopped {
  tg.state @w weight trainable : tensor<f32>
  func.func @forward_main() {
    // CHECK: %[[W:.*]] = tg.read @w
    // CHECK-NOT: tg.stop_gradient
    // CHECK: tg.loss
    // CHECK-NEXT: tg.write @"gradient:w", %[[W]]
    %w = tg.read @w : tensor<f32>
    %s = tg.stop_gradient %w : tensor<f32>
    %p = tg.mul %w, %s : tensor<f32>
    tg.loss %p : tensor<f32>
    return
  }
}

// -----

// A cotangent passes through a barrier.
// CHECK-LABEL: module @barrier
module @barrier {
  tg.state @w weight trainable : tensor<f32>
  func.func @forward_main() {
    // CHECK: %[[X:.*]] = tg.input "x"
    // CHECK: tg.barrier
    // CHECK: tg.write @"gradient:w", %[[X]]
    %x = tg.input "x" : tensor<f32>
    %w = tg.read @w : tensor<f32>
    %b:2 = tg.barrier %w, %x : tensor<f32>, tensor<f32>
    %p = tg.mul %b#0, %x : tensor<f32>
    tg.loss %p : tensor<f32>
    return
  }
}

// -----

// y = W x + B A x with W frozen: gradients of A and B from the same cotangent, none of W.
// CHECK-LABEL: module @adapter
module @adapter {
  tg.state @W weight : tensor<6x6xf32>
  tg.state @A weight trainable : tensor<2x6xf32>
  tg.state @B weight trainable : tensor<6x2xf32>
  // CHECK-NOT: gradient:W
  // CHECK: func.func @micro_main
  func.func @forward_main() {
    %x = tg.input "x" : tensor<8x6xf32>
    %W = tg.read @W : tensor<6x6xf32>
    %A = tg.read @A : tensor<2x6xf32>
    %B = tg.read @B : tensor<6x2xf32>
    // Three products forward; backward one for B and two for A.
    // CHECK-COUNT-3: tg.dot_general
    // CHECK: tg.loss
    // CHECK-COUNT-3: tg.dot_general
    // CHECK-NOT: tg.dot_general
    // CHECK: return
    %y = tg.dot_general %x, %W {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
        : (tensor<8x6xf32>, tensor<6x6xf32>) -> tensor<8x6xf32>
    %d = tg.dot_general %x, %A {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
        : (tensor<8x6xf32>, tensor<2x6xf32>) -> tensor<8x2xf32>
    %u = tg.dot_general %d, %B {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>}
        : (tensor<8x2xf32>, tensor<6x2xf32>) -> tensor<8x6xf32>
    %s = tg.add %y, %u : tensor<8x6xf32>
    %q = tg.mul %s, %s : tensor<8x6xf32>
    %l = tg.reduce %q {axes = array<i64: 0, 1>, kind = #tg.reduce_kind<sum>} : (tensor<8x6xf32>) -> tensor<f32>
    tg.loss %l : tensor<f32>
    return
  }
}

// -----

// A weight used twice, and read twice: one gradient, the sum.
// CHECK-LABEL: module @shared
module @shared {
  tg.state @w weight trainable : tensor<4xf32>
  func.func @forward_main() {
    // CHECK: %[[X:.*]] = tg.input "x"
    // CHECK: %[[Y:.*]] = tg.input "y"
    %x = tg.input "x" : tensor<4xf32>
    %y = tg.input "y" : tensor<4xf32>
    %w = tg.read @w : tensor<4xf32>
    %again = tg.read @w : tensor<4xf32>
    %p = tg.mul %w, %x : tensor<4xf32>
    %q = tg.mul %again, %y : tensor<4xf32>
    %s = tg.add %p, %q : tensor<4xf32>
    %l = tg.reduce %s {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
    // CHECK: tg.loss
    // CHECK-NEXT: %[[G:.*]] = tg.add %[[X]], %[[Y]]
    // CHECK-NEXT: tg.write @"gradient:w", %[[G]]
    // CHECK-NEXT: return
    tg.loss %l : tensor<f32>
    return
  }
}

// -----

// Two batch variants write the same gradient; an idle weight is in order.
// CHECK-LABEL: module @variants
module @variants attributes {tg.idle = ["spare"]} {
  tg.state @w weight trainable : tensor<f32>
  tg.state @v weight trainable : tensor<f32>
  tg.state @spare weight trainable : tensor<f32>
  // CHECK: func.func @micro_image
  // CHECK: tg.write @"gradient:w"
  func.func @forward_image() {
    %w = tg.read @w : tensor<f32>
    tg.loss %w : tensor<f32>
    return
  }
  // CHECK: func.func @micro_video
  // CHECK-DAG: tg.write @"gradient:w"
  // CHECK-DAG: tg.write @"gradient:v"
  func.func @forward_video() {
    %w = tg.read @w : tensor<f32>
    %v = tg.read @v : tensor<f32>
    %p = tg.mul %w, %v : tensor<f32>
    tg.loss %p : tensor<f32>
    return
  }
}

// -----

// What the loss does not use gets no backward; an evaluation is left alone.
// CHECK-LABEL: module @aside
module @aside {
  tg.state @w weight trainable : tensor<f32>
  // CHECK: func.func @micro_main
  func.func @forward_main() {
    // CHECK: %[[W:.*]] = tg.read @w
    // CHECK: tg.output "aside"
    // CHECK: tg.loss
    // CHECK-NEXT: tg.write
    // CHECK-NEXT: return
    %w = tg.read @w : tensor<f32>
    tg.loss %w : tensor<f32>
    %e = tg.exp %w : tensor<f32>
    tg.output "aside", %e : tensor<f32>
    return
  }
  // CHECK: func.func @evaluate_held
  // CHECK-NOT: tg.write
  func.func @evaluate_held() {
    %w = tg.read @w : tensor<f32>
    tg.output "score", %w : tensor<f32>
    return
  }
}

// -----

// Cotangents add up in the order that they would without the border of a segment: from the last use to the first.
// CHECK-LABEL: module @border
module @border {
  tg.state @w weight trainable : tensor<f32>
  func.func @forward_main() {
    %w = tg.read @w : tensor<f32>
    // CHECK: %[[E:.*]] = tg.exp
    %e = tg.exp %w : tensor<f32>
    // CHECK-NEXT: %[[A:.*]] = tg.sin %[[E]]
    %a = tg.sin %e : tensor<f32>
    // CHECK-NEXT: %[[B:.*]] = tg.barrier %[[E]] {border = #tg.border<enter 0>}
    %b = tg.barrier %e {border = #tg.border<enter 0>} : tensor<f32>
    // CHECK-NEXT: %[[C:.*]] = tg.cos %[[B]]
    %c = tg.cos %b : tensor<f32>
    // CHECK-NEXT: %[[D:.*]] = tg.tanh %[[B]]
    %d = tg.tanh %b : tensor<f32>
    %f = tg.mul %c, %d : tensor<f32>
    %g = tg.barrier %f {border = #tg.border<leave 0>} : tensor<f32>
    %h = tg.mul %g, %a : tensor<f32>
    // CHECK: tg.loss
    tg.loss %h : tensor<f32>
    // CHECK: %[[FROM_D:.*]] = tg.mul
    // CHECK: %[[FIRST:.*]] = tg.add %{{.*}}, %{{.*}}
    // CHECK: %[[SECOND:.*]] = tg.add %[[FIRST]], %{{.*}}
    // CHECK: tg.mul %[[SECOND]], %[[E]]
    return
  }
}

// -----

// Cotangents of a narrow value are summed in f32 and rounded once; sums of a product that are kept in f32 take one that
// is rounded to the operands' type (here a constant that is one already).
// CHECK-LABEL: module @narrow
module @narrow {
  tg.state @w weight trainable : tensor<2x2xf32>
  func.func @forward_main() {
    // CHECK: %[[W:.*]] = tg.read @w
    %w = tg.read @w : tensor<2x2xf32>
    // CHECK: %[[N:.*]] = tg.cast %[[W]]
    %n = tg.cast %w : tensor<2x2xf32> -> tensor<2x2xbf16>
    %p = tg.dot_general %n, %n {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>}
      : (tensor<2x2xbf16>, tensor<2x2xbf16>) -> tensor<2x2xf32>
    %l = tg.reduce %p {axes = array<i64: 0, 1>, kind = #tg.reduce_kind<sum>} : (tensor<2x2xf32>) -> tensor<f32>
    // CHECK: tg.loss
    tg.loss %l : tensor<f32>
    // CHECK: %[[A:.*]] = tg.dot_general %{{.*}}, %[[N]] {{.*}} -> tensor<2x2xbf16>
    // CHECK: %[[B:.*]] = tg.dot_general %{{.*}}, %[[N]] {{.*}} -> tensor<2x2xbf16>
    // CHECK: %[[T:.*]] = tg.transpose %[[B]]
    // CHECK: %[[A32:.*]] = tg.cast %[[A]] : tensor<2x2xbf16> -> tensor<2x2xf32>
    // CHECK: %[[B32:.*]] = tg.cast %[[T]] : tensor<2x2xbf16> -> tensor<2x2xf32>
    // CHECK: %[[S:.*]] = tg.add %[[A32]], %[[B32]] : tensor<2x2xf32>
    // CHECK: %[[R:.*]] = tg.cast %[[S]] : tensor<2x2xf32> -> tensor<2x2xbf16>
    // CHECK: %[[D:.*]] = tg.cast %[[R]] : tensor<2x2xbf16> -> tensor<2x2xf32>
    // CHECK: tg.write @"gradient:w", %[[D]]
    return
  }
}
