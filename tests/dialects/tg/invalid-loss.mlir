// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @rows(%x: tensor<6x10xf32>, %l: tensor<5xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{needs logits [N, V] and labels [N] but has 'tensor<6x10xf32>' and 'tensor<5xi32>'}}
  %0:2 = tg.cross_entropy %x, %l : (tensor<6x10xf32>, tensor<5xi32>) -> (tensor<6xf32>, tensor<6xf32>)
  return
}

// -----

func.func @smoothing(%x: tensor<6x10xf32>, %l: tensor<6xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{is not in [0, 1]}}
  %0:2 = tg.cross_entropy %x, %l {smoothing = 1.5} : (tensor<6x10xf32>, tensor<6xi32>) -> (tensor<6xf32>, tensor<6xf32>)
  return
}
