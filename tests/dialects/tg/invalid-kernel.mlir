// RUN: vcc-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{parameter 0 of kind row cannot be 'tensor<3xf32>'}}
tg.kernel @k(%x: tensor<3xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  tg.yield %x : tensor<3xf32>
}

// -----

// expected-error@+1 {{parameter 0 is indexed by parameter 0, which is not a scalar of integers}}
tg.kernel @k(%x: tensor<4xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4 : i64,
    params = [#tg.param<indexed index(0)>], results = [#tg.result<row>]} {
  tg.yield %x : tensor<4xf32>
}

// -----

tg.kernel @k(%x: tensor<4xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4 : i64,
    params = [#tg.param<row>], results = [#tg.result<scalar>]} {
  // expected-error@+1 {{result 0 of kind scalar cannot be 'tensor<4xf32>'}}
  tg.yield %x : tensor<4xf32>
}

// -----

tg.kernel @k(%x: tensor<4xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  tg.yield %x : tensor<4xf32>
}
func.func @leaves(%x: tensor<3x4xf32>) {
  // expected-error@+1 {{parameter 0 is accessed from element 4 to 15 but has 12}}
  %0 = tg.launch @k(%x) {dims = array<i64: 3>, access = [#tg.access<4, [4]>, #tg.access<0, [4]>]}
      : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @unknown(%x: tensor<3x4xf32>) {
  // expected-error@+1 {{names the kernel `k`, which does not exist}}
  %0 = tg.launch @k(%x) {dims = array<i64: 3>, access = []} : (tensor<3x4xf32>) -> tensor<3x4xf32>
  return
}
