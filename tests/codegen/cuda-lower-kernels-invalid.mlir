// RUN: vcc-opt %s --cuda-lower-kernels --split-input-file --verify-diagnostics

tg.kernel @erf64(%x: tensor<f64>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  // expected-error @below {{has no CUDA code for element type 'f64'}}
  %y = tg.erf %x : tensor<f64>
  tg.yield %y : tensor<f64>
}
exec.module @m sizes {weights = 0, state = 0, arena = 65536, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 512 : tensor<64xf64> why "test"
  exec.function @f {
    exec.launch @erf64 reads [@x] writes [@x] dims [64] access [#tg.access<0, [1]>, #tg.access<0, [1]>] units 64 forward "a" flops 0 bytes 0
  }
}

// -----

// expected-error @below {{is launched over 4294967296 rows in 2 dimensions, but CUDA kernels count to 2147483647 there}}
tg.kernel @many(%x: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  tg.yield %x : tensor<f32>
}
exec.module @m sizes {weights = 0, state = 0, arena = 17179869184, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 17179869184 : tensor<65536x65536xf32> why "test"
  exec.function @f {
    exec.launch @many reads [@x] writes [@x] dims [65536, 65536] access [#tg.access<0, [1, 65536]>, #tg.access<0, [65536, 1]>]
        units 4294967296 forward "a" flops 0 bytes 0
  }
}
