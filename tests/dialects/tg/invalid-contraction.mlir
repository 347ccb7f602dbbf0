// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @contracted_sizes(%a: tensor<2x3xf32>, %b: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{contracted axis 1 of a has size 3 but axis 0 of b has 4}}
  %0 = tg.dot_general %a, %b {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>}
      : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @axis_twice(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{names axis 0 of operand a twice}}
  %0 = tg.dot_general %a, %b {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 0>, contract_b = array<i64: 1>}
      : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3x3xf32>
  return
}

// -----

func.func @strides_leave(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{strides of b leave its 4 elements}}
  %0 = tg.gemm %a, %b {batch = array<i64>, m = 2 : i64, n = 2 : i64, k = 2 : i64, a_strides = array<i64: 2, 1>,
      b_strides = array<i64: 3, 1>, c_strides = array<i64: 2, 1>} : tensor<4xf32>, tensor<4xf32> -> tensor<2x2xf32>
  return
}

// -----

func.func @accumulates_into_nothing(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{accumulates but has no addend}}
  %0 = tg.gemm %a, %b {batch = array<i64>, m = 2 : i64, n = 2 : i64, k = 2 : i64, a_strides = array<i64: 2, 1>,
      b_strides = array<i64: 2, 1>, c_strides = array<i64: 2, 1>, accumulate} : tensor<4xf32>, tensor<4xf32> -> tensor<2x2xf32>
  return
}

// -----

func.func @keeps_less_than_it_sums(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{inferred type(s) 'tensor<2x2xf32>' are incompatible with return type(s) of operation 'tensor<2x2xbf16>'}}
  %0 = tg.dot_general %a, %b {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>}
      : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xbf16>
  return
}

// -----

func.func @operands_differ(%a: tensor<4xf32>, %b: tensor<4xbf16>) {
  // expected-error@+1 {{operands must be of one element type}}
  %0 = tg.gemm %a, %b {batch = array<i64>, m = 2 : i64, n = 2 : i64, k = 2 : i64, a_strides = array<i64: 2, 1>,
      b_strides = array<i64: 2, 1>, c_strides = array<i64: 2, 1>} : tensor<4xf32>, tensor<4xbf16> -> tensor<2x2xf32>
  return
}

// -----

func.func @not_summed_in_that(%a: tensor<4xf32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{gives 'bf16' but products of 'f32' are not summed in that}}
  %0 = tg.gemm %a, %b {batch = array<i64>, m = 2 : i64, n = 2 : i64, k = 2 : i64, a_strides = array<i64: 2, 1>,
      b_strides = array<i64: 2, 1>, c_strides = array<i64: 2, 1>} : tensor<4xf32>, tensor<4xf32> -> tensor<2x2xbf16>
  return
}

// -----

func.func @adds_another_type(%a: tensor<4xbf16>, %b: tensor<4xbf16>, %bias: tensor<2xf32>) {
  // expected-error@+1 {{adds 'f32' to a result of 'bf16'}}
  %0 = tg.gemm %a, %b bias(%bias : tensor<2xf32>) {batch = array<i64>, m = 2 : i64, n = 2 : i64, k = 2 : i64, a_strides = array<i64: 2, 1>,
      b_strides = array<i64: 2, 1>, c_strides = array<i64: 2, 1>} : tensor<4xbf16>, tensor<4xbf16> -> tensor<2x2xbf16>
  return
}
