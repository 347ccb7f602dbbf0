// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @one_type(%a: tensor<2xf32>, %b: tensor<3xf32>) {
  // expected-note@-1 {{prior use here}}
  // expected-error@+1 {{use of value '%b' expects different type than prior uses: 'tensor<2xf32>' vs 'tensor<3xf32>'}}
  %0 = tg.add %a, %b : tensor<2xf32>
  return
}

// -----

func.func @float_only(%a: tensor<2xi32>) {
  // expected-error@+1 {{operand #0 must be statically shaped tensor of 64-bit float}}
  %0 = tg.exp %a : tensor<2xi32>
  return
}

// -----

func.func @static_only(%a: tensor<?xf32>) {
  // expected-error@+1 {{must be statically shaped tensor}}
  %0 = tg.neg %a : tensor<?xf32>
  return
}

// -----

func.func @condition_shape(%c: tensor<3xi1>, %a: tensor<2xf32>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape}}
  %0 = tg.select %c, %a, %a : tensor<3xi1>, tensor<2xf32>
  return
}

// -----

func.func @cast_shape(%a: tensor<2xf32>) {
  // expected-error@+1 {{all non-scalar operands/results must have the same shape}}
  %0 = tg.cast %a : tensor<2xf32> -> tensor<3xi32>
  return
}

// -----

func.func @border_of_two(%a: tensor<2xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{'tg.barrier' op is the border of a segment, which one value passes, but has 2}}
  %0:2 = tg.barrier %a, %b {border = #tg.border<enter 0>} : tensor<2xf32>, tensor<3xf32>
  return
}

// -----

func.func @border_of_no_segment(%a: tensor<2xf32>) {
  // expected-error@+1 {{'tg.barrier' op segments are numbered from 0}}
  %0 = tg.barrier %a {border = #tg.border<leave -1>} : tensor<2xf32>
  return
}
