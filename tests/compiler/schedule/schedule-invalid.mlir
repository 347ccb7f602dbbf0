// RUN: vcc-opt %s --exec-schedule --split-input-file --verify-diagnostics

// What fusion has not turned into a launch has no place in a plan.
func.func @unfused() {
  %x = tg.input "x" : tensor<4xf32>
  // expected-error @below {{cannot be scheduled: it is neither a launch nor a library call (has fusion run?)}}
  %y = tg.exp %x : tensor<4xf32>
  tg.output "y", %y : tensor<4xf32>
  return
}

// -----

// Library attention has no dropout.
func.func @dropout() {
  %rng = tg.input "rng" : tensor<4xi32>
  %q = tg.input "q" : tensor<1x2x2x4xf32>
  // expected-error @below {{has dropout on the probabilities, which the attention call cannot do}}
  %0:2 = tg.attention %q, %q, %q rng(%rng : tensor<4xi32>) {scale = 1.0, dropout = 0.1, site = #tg.site<"a">}
      : tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x2x2x4xf32>, tensor<1x2x2xf32>
  tg.output "o", %0#0 : tensor<1x2x2x4xf32>
  return
}
