// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @iota_axis() {
  // expected-error@+1 {{axis 1 is not an axis of 'tensor<4xi32>'}}
  %0 = tg.iota {axis = 1 : i64} : tensor<4xi32>
  return
}

// -----

func.func @scatter_axes(%i: tensor<3xi32>, %u: tensor<2x4xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{updates must begin with the axes of the ids}}
  %0 = tg.scatter_add %i, %u {rows = 5 : i64} : (tensor<3xi32>, tensor<2x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @ids_are_integers(%t: tensor<3x2xf32>, %i: tensor<3xf32>) {
  // expected-error@+1 {{operand #1 must be statically shaped tensor of 64-bit signless integer or 32-bit signless integer}}
  %0 = tg.gather %t, %i : (tensor<3x2xf32>, tensor<3xf32>) -> tensor<3x2xf32>
  return
}
