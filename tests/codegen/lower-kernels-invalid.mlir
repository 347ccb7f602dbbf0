// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v3 --split-input-file --verify-diagnostics

// expected-error @below {{uses element type 'bf16', which has no CPU code yet}}
tg.kernel @half(%x: tensor<bf16>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  tg.yield %x : tensor<bf16>
}

// -----

tg.kernel @erf64(%x: tensor<f64>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  // expected-error @below {{has no CPU code for element type 'f64'}}
  %y = tg.erf %x : tensor<f64>
  tg.yield %y : tensor<f64>
}

// -----

tg.kernel @moves(%x: tensor<8xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 8 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  // expected-error @below {{is not an operation that a CPU kernel can contain}}
  %y = tg.slice %x {offsets = array<i64: 0>, sizes = array<i64: 8>, strides = array<i64: 1>} : (tensor<8xf32>) -> tensor<8xf32>
  tg.yield %y : tensor<8xf32>
}
