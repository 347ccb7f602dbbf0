// RUN: vcc-opt %s --split-input-file --verify-diagnostics

func.func @heads(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x2x4xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{3 query heads are no multiple of 2 key heads}}
  %0:2 = tg.attention %q, %k, %k {scale = 1.0}
      : tensor<1x2x3x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x2x3x4xf32>, tensor<1x3x2xf32>
  return
}

// -----

func.func @dropout_draws(%q: tensor<1x2x2x4xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{has dropout but no rng and site to draw from}}
  %0:2 = tg.attention %q, %q, %q {scale = 1.0, dropout = 0.1}
      : tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x2x2x4xf32>, tensor<1x2x2xf32>
  return
}

// -----

func.func @starts(%q: tensor<1x2x2x4xf32>, %s: tensor<1x3xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{starts is 'tensor<1x3xi32>' but the queries are 1 x 2}}
  %0:2 = tg.attention %q, %q, %q starts(%s : tensor<1x3xi32>) {causal, scale = 1.0}
      : tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x2x2x4xf32>, tensor<1x2x2xf32>
  return
}

// -----

func.func @samples(%q: tensor<1x2x2x4xf32>, %n: tensor<1xi32>, %s: tensor<1x2xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{samples must be how many there are at most, and the longest one}}
  %0:2 = tg.attention %q, %q, %q lengths(%n : tensor<1xi32>) starts(%s : tensor<1x2xi32>) {causal, scale = 1.0, samples = array<i64: 1>}
      : tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x2x2x4xf32>, tensor<1x2x2xf32>
  return
}

// -----

func.func @samples_of_what(%q: tensor<1x2x2x4xf32>, %s: tensor<1x2xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{has samples, but not causal rows of as many queries as keys with lengths and starts}}
  %0:2 = tg.attention %q, %q, %q starts(%s : tensor<1x2xi32>) {causal, scale = 1.0, samples = array<i64: 1, 2>}
      : tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32> -> tensor<1x2x2x4xf32>, tensor<1x2x2xf32>
  return
}
