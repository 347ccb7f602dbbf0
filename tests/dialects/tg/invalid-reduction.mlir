// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @axis_outside(%x: tensor<2x3xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{axes [2] must increase and lie below the rank, but the operand has rank 2}}
  %0 = tg.reduce %x {axes = array<i64: 2>, kind = #tg.reduce_kind<sum>} : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @axes_increase(%x: tensor<2x3xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{axes [1, 0] must increase}}
  %0 = tg.reduce %x {axes = array<i64: 1, 0>, kind = #tg.reduce_kind<sum>} : (tensor<2x3xf32>) -> tensor<f32>
  return
}

// -----

func.func @result_shape(%x: tensor<2x3xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{'tensor<2xf32>' are incompatible with return type(s) of operation 'tensor<3xf32>'}}
  %0 = tg.reduce %x {axes = array<i64: 1>, kind = #tg.reduce_kind<sum>} : (tensor<2x3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @no_last_axis(%x: tensor<f32>) {
  // expected-error@+1 {{needs a last axis but the operand is a scalar}}
  %0 = tg.softmax %x : tensor<f32>
  return
}
