// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @broadcast_size(%x: tensor<2xf32>) {
  // expected-error@+1 {{operand axis 0 has size 2 but result axis 1 has 3}}
  %0 = tg.broadcast %x {axes = array<i64: 1>} : (tensor<2xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @broadcast_order(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{axes [1, 0] must increase and lie below the result's rank 2}}
  %0 = tg.broadcast %x {axes = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return
}

// -----

func.func @reshape_count(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{operand has 6 elements but result has 8}}
  %0 = tg.reshape %x : (tensor<2x3xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @no_permutation(%x: tensor<2x3xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{[0, 0] is not a permutation of the operand's 2 axes}}
  %0 = tg.transpose %x {permutation = array<i64: 0, 0>} : (tensor<2x3xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @slice_outside(%x: tensor<5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{takes 3 elements from 1 in steps of 2 along axis 0, which has size 5}}
  %0 = tg.slice %x {offsets = array<i64: 1>, sizes = array<i64: 3>, strides = array<i64: 2>} : (tensor<5xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @concat_sizes(%x: tensor<2x3xf32>, %y: tensor<3x3xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{operands may differ along axis 1 only, but there are 'tensor<2x3xf32>' and 'tensor<3x3xf32>'}}
  %0 = tg.concat %x, %y {axis = 1 : i64} : (tensor<2x3xf32>, tensor<3x3xf32>) -> tensor<2x6xf32>
  return
}

// -----

func.func @pad_removes(%x: tensor<5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{pads axis 0 by -1 and 0, but a pad adds elements}}
  %0 = tg.pad %x {low = array<i64: -1>, high = array<i64: 0>} : (tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @no_ranks(%x: tensor<2xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{'tg.all_gather' op needs at least one rank but has 0}}
  %0 = tg.all_gather %x {ranks = 0 : i64} : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @gather_scalar(%x: tensor<f32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{'tg.all_gather' op of a scalar: ranks are joined along axis 0}}
  %0 = tg.all_gather %x {ranks = 2 : i64} : (tensor<f32>) -> tensor<2xf32>
  return
}

// -----

func.func @scatter_scalar(%x: tensor<f32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{'tg.reduce_scatter' op of a scalar: ranks are joined along axis 0}}
  %0 = tg.reduce_scatter %x {ranks = 2 : i64} : (tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @scatter_uneven(%x: tensor<5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{axis 0 of 'tensor<5xf32>' does not divide into 2 ranks}}
  %0 = tg.reduce_scatter %x {ranks = 2 : i64} : (tensor<5xf32>) -> tensor<2xf32>
  return
}
