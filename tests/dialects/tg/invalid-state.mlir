// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @unknown() {
  // expected-error@+1 {{names the state `w`, which does not exist}}
  %0 = tg.read @w : tensor<2xf32>
  return
}

// -----

// expected-note@+1 {{declared here}}
tg.state @w weight : tensor<2xf32>
func.func @shape() {
  // expected-error@+1 {{uses the state `w` as 'tensor<3xf32>' but it is 'tensor<2xf32>'}}
  %0 = tg.read @w : tensor<3xf32>
  return
}

// -----

tg.state @flat weight : tensor<8xf32>
// expected-error@+1 {{takes 4 elements from 6 of its storage, which has 8}}
tg.state @w weight in(@flat, 6) : tensor<4xf32>

// -----

// expected-error@+1 {{is trainable but its kind is moment, not weight}}
tg.state @m moment trainable : tensor<8xf32>

// -----

// expected-error@+1 {{is joined but no frozen weight of its own storage}}
tg.state @w weight trainable joined : tensor<8x8xf32>

// -----

tg.state @flat weight : tensor<64xf32>
// expected-error@+1 {{is joined but no frozen weight of its own storage}}
tg.state @w weight joined in(@flat, 0) : tensor<8x8xf32>

// -----

tg.state @flat weight : tensor<8xf32>
// expected-error@+1 {{is transposed but no matrix in a storage}}
tg.state @w weight transposed in(@flat, 0) : tensor<8xf32>

// -----

// expected-error@+1 {{is transposed but no matrix in a storage}}
tg.state @w weight transposed : tensor<4x2xf32>

// -----

func.func @scalar_loss(%x: tensor<2xf32>) {
  // expected-error@+1 {{minimises a scalar but has 'tensor<2xf32>'}}
  tg.loss %x : tensor<2xf32>
  return
}
