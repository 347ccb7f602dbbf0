// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @rng(%r: tensor<2xi32>) {
  // expected-error@+1 {{rng must be tensor<4xi32> but is 'tensor<2xi32>'}}
  %0 = tg.random_uniform %r {site = #tg.site<"a">} : (tensor<2xi32>) -> tensor<3xf32>
  return
}

// -----

func.func @samples(%r: tensor<4xi32>) {
  // expected-error@+1 {{needs axis 0, the samples, but its result is a scalar}}
  %0 = tg.random_normal %r {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<f32>
  return
}
