// RUN: vcc-opt %s --split-input-file --tg-recompute-segments | FileCheck %s
// RUN: vcc-opt %s --split-input-file --tg-recompute-segments --tg-simplify | FileCheck %s --check-prefix=KEPT

// What the backward reads of a segment is made again right before it, from what entered and behind the cotangent; the
// weight is read where it lies.
// CHECK-LABEL: func.func @micro_main
// KEPT-LABEL: func.func @micro_main
func.func @micro_main() {
  %x = tg.input "x" : tensor<4xf32>
  %w = tg.read @w : tensor<4xf32>
  // CHECK: %[[U:.*]] = tg.exp
  %u = tg.exp %x : tensor<4xf32>
  %b = tg.barrier %u {border = #tg.border<enter 0>} : tensor<4xf32>
  // CHECK-NEXT: %[[M:.*]] = tg.mul %[[U]], %[[W:.*]] :
  // CHECK-NEXT: %[[S:.*]] = tg.tanh %[[M]]
  // CHECK-NEXT: tg.reduce %[[S]]
  %m = tg.mul %b, %w : tensor<4xf32>
  %s = tg.tanh %m : tensor<4xf32>
  %y = tg.barrier %s {border = #tg.border<leave 0>} : tensor<4xf32>
  %l = tg.reduce %y {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
  // CHECK: tg.loss
  tg.loss %l : tensor<f32>
  // CHECK-NEXT: %[[G:.*]] = tg.input "g"
  %in = tg.input "g" : tensor<4xf32>
  // CHECK-NEXT: %[[C:.*]] = tg.neg %[[G]]
  %g = tg.neg %in : tensor<4xf32>
  // CHECK-NEXT: %[[B:.*]]:2 = tg.barrier %[[U]], %[[C]]
  // CHECK-NEXT: %[[M2:.*]] = tg.mul %[[B]]#0, %[[W]] :
  // CHECK-NEXT: %[[S2:.*]] = tg.tanh %[[M2]]
  // CHECK-NEXT: %[[D:.*]] = tg.mul %[[S2]], %[[C]]
  // CHECK-NEXT: tg.mul %[[D]], %[[U]]
  // KEPT: tg.loss
  // KEPT: tg.barrier
  // KEPT: tg.tanh
  %d = tg.mul %s, %g : tensor<4xf32>
  %e = tg.mul %d, %b : tensor<4xf32>
  tg.write @"gradient:w", %e : tensor<4xf32>
  return
}
tg.state @w weight trainable : tensor<4xf32>
tg.state @"gradient:w" gradient : tensor<4xf32>

// -----

// The last product is not made again where no backward reads it; a view is looked at again, not copied.
// CHECK-LABEL: func.func @micro_needed
func.func @micro_needed() {
  %x = tg.input "x" : tensor<2x2xf32>
  %w = tg.read @w : tensor<4xf32>
  %u = tg.exp %x : tensor<2x2xf32>
  %r = tg.reshape %u : (tensor<2x2xf32>) -> tensor<4xf32>
  %b = tg.barrier %r {border = #tg.border<enter 0>} : tensor<4xf32>
  %s = tg.sin %b : tensor<4xf32>
  %p = tg.mul %s, %w : tensor<4xf32>
  %y = tg.barrier %p {border = #tg.border<leave 0>} : tensor<4xf32>
  %l = tg.reduce %y {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
  // CHECK: tg.loss %[[L:.*]] :
  tg.loss %l : tensor<f32>
  // CHECK-NEXT: %[[B:.*]]:2 = tg.barrier %{{.*}}, %[[L]] : tensor<2x2xf32>, tensor<f32>
  // CHECK-NEXT: %[[R:.*]] = tg.reshape %[[B]]#0
  // CHECK-NEXT: %[[S:.*]] = tg.sin %[[R]]
  // CHECK-NEXT: tg.write @"gradient:w", %[[S]]
  tg.write @"gradient:w", %s : tensor<4xf32>
  return
}
tg.state @w weight trainable : tensor<4xf32>
tg.state @"gradient:w" gradient : tensor<4xf32>

// -----

// A draw keeps its site and its counters. What depends on counts alone may belong to several segments; the copy of one
// serves the readers up to the copy of the next.
// CHECK-LABEL: func.func @micro_shared
// KEPT-LABEL: func.func @micro_shared
func.func @micro_shared() {
  %rng = tg.input "rng" : tensor<4xi32>
  %x = tg.input "x" : tensor<4xf32>
  %i = tg.iota : tensor<4xi32>
  %f = tg.cast %i : tensor<4xi32> -> tensor<4xf32>
  %t = tg.cos %f : tensor<4xf32>
  %u = tg.exp %x : tensor<4xf32>
  %a = tg.barrier %u {border = #tg.border<enter 0>} : tensor<4xf32>
  %d = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<4xf32>
  %m = tg.mul %a, %d : tensor<4xf32>
  %n = tg.mul %m, %t : tensor<4xf32>
  %b = tg.barrier %n {border = #tg.border<leave 0>} : tensor<4xf32>
  %c = tg.barrier %b {border = #tg.border<enter 1>} : tensor<4xf32>
  %h = tg.sin %c : tensor<4xf32>
  %o = tg.mul %h, %t : tensor<4xf32>
  %y = tg.barrier %o {border = #tg.border<leave 1>} : tensor<4xf32>
  %l = tg.reduce %y {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
  // CHECK: tg.loss
  // KEPT: tg.loss
  tg.loss %l : tensor<f32>
  // CHECK-NEXT: tg.barrier
  // CHECK-NEXT: tg.cast
  // CHECK-NEXT: %[[T1:.*]] = tg.cos
  // CHECK-NEXT: tg.sin
  // CHECK-NEXT: tg.mul %{{.*}}, %[[T1]]
  // CHECK-NEXT: %[[E:.*]] = tg.mul %{{.*}}, %[[T1]]
  // KEPT: tg.cos
  // KEPT: return
  %g = tg.mul %h, %t : tensor<4xf32>
  // CHECK-NEXT: %[[B:.*]]:3 = tg.barrier %{{.*}}, %{{.*}}, %[[E]]
  // CHECK-NEXT: %[[D:.*]] = tg.random_uniform %[[B]]#0 {site = #tg.site<"a">}
  // CHECK-NEXT: %[[M:.*]] = tg.mul %[[B]]#1, %[[D]]
  // CHECK-NEXT: tg.mul %[[E]], %[[M]]
  %e = tg.mul %g, %t : tensor<4xf32>
  %k = tg.mul %e, %m : tensor<4xf32>
  tg.write @"gradient:w", %k : tensor<4xf32>
  return
}
tg.state @w weight trainable : tensor<4xf32>
tg.state @"gradient:w" gradient : tensor<4xf32>

// -----

// Without a loss there is no backward; the borders are opened.
// CHECK-LABEL: func.func @evaluate_main
// CHECK-NOT: tg.barrier
func.func @evaluate_main() {
  %x = tg.input "x" : tensor<4xf32>
  %b = tg.barrier %x {border = #tg.border<enter 0>} : tensor<4xf32>
  %s = tg.sin %b : tensor<4xf32>
  %y = tg.barrier %s {border = #tg.border<leave 0>} : tensor<4xf32>
  tg.output "y", %y : tensor<4xf32>
  return
}
