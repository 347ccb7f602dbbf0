// RUN: vcc-opt %s --verify-roundtrip | FileCheck %s

// All forms of a plan, printed as they are written.
tg.kernel @k(%x: tensor<8xf32>, %s: tensor<f32>) attributes {columns = 8 : i64, kernel_class = #tg.kernel_class<row>,
    params = [#tg.param<row>, #tg.param<uniform>], results = [#tg.result<row>]} {
  %b = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<8xf32>
  %y = tg.mul %x, %b : tensor<8xf32>
  tg.yield %y : tensor<8xf32>
}
// CHECK: exec.module @stage sizes{weights = 256, state = 256, arena = 8192, io = 128, constant = 64} {
exec.module @stage sizes {weights = 256, state = 256, arena = 8192, io = 128, constant = 64} {
  // CHECK: exec.buffer @w weights at 0 size 256 : tensor<8x8xf32> why "frozen weight"
  exec.buffer @w weights at 0 size 256 : tensor<8x8xf32> why "frozen weight"
  // CHECK: exec.buffer @t weights at 0 size 128 : tensor<4x8xf32> transposed view @w why "frozen weight"
  exec.buffer @t weights at 0 size 128 : tensor<4x8xf32> transposed view @w why "frozen weight"
  // CHECK: exec.buffer @flat state at 0 size 256 : tensor<64xf32> why "trained weight"
  exec.buffer @flat state at 0 size 256 : tensor<64xf32> why "trained weight"
  // CHECK: exec.buffer @v state at 4 size 32 : tensor<8xf32> view @flat why "trained weight"
  exec.buffer @v state at 4 size 32 : tensor<8xf32> view @flat why "trained weight"
  // CHECK: exec.buffer @a arena at 64 size 64 : tensor<2x8xf32> live 0 to 4 in @f why "temporary"
  exec.buffer @a arena at 64 size 64 : tensor<2x8xf32> live 0 to 4 in @f why "temporary"
  exec.buffer @b arena at 128 size 64 : tensor<2x8xf32> live 1 to 6 in @f why "temporary"
  exec.buffer @ws arena at 1024 size 4096 : tensor<1024xf32> live 2 to 3 in @f why "workspace of attention"
  exec.buffer @lse arena at 512 size 8 : tensor<1x1x2xf32> live 2 to 3 in @f why "temporary"
  exec.buffer @in io at 0 size 64 : tensor<2x8xf32> why "input"
  // CHECK: exec.buffer @c constant at 0 size 8 : tensor<2xf32> = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32> why "constant"
  exec.buffer @c constant at 0 size 8 : tensor<2xf32> = dense<[1.0, 2.0]> : tensor<2xf32> why "constant"
  // CHECK: exec.function @f {
  exec.function @f {
    // CHECK: exec.launch @k reads [@in] writes [@a] dims [2] access [#tg.access<0, [8]>, #tg.access<0, [8]>] uniforms [1065353216] units 2 forward "norm" flops 16 bytes 128
    exec.launch @k reads [@in] writes [@a] dims [2] access [#tg.access<0, [8]>, #tg.access<0, [8]>] uniforms [1065353216] units 2 forward "norm" flops 16 bytes 128
    // CHECK: exec.gemm @b = @a * @w bias @v batch [1, 1] m 2 n 8 k 8 strides [0, 0, 8, 1], [0, 0, 1, 8], [0, 0, 8, 1] pack forward "proj" flops 256 bytes 512
    exec.gemm @b = @a * @w bias @v batch [1, 1] m 2 n 8 k 8 strides [0, 0, 8, 1], [0, 0, 1, 8], [0, 0, 8, 1] pack forward "proj" flops 256 bytes 512
    exec.gemm @b = @a * @w addend @in batch [1, 1] m 2 n 8 k 8 strides [0, 0, 8, 1], [0, 0, 1, 8], [0, 0, 8, 1] activation <silu> forward "proj" flops 256 bytes 512
    // CHECK: exec.attention @b, @lse = @a, @a, @a workspace @ws kernel @s sizes [1, 2, 2, 1, 1, 8] causal scale 5.000000e-01 block 2 scratch 256 threads 16 forward "attn" flops 1 bytes 1
    exec.attention @b, @lse = @a, @a, @a workspace @ws kernel @s sizes [1, 2, 2, 1, 1, 8] causal scale 0.5 block 2 scratch 256 threads 16 forward "attn" flops 1 bytes 1
    // CHECK: exec.attention @b, @lse = @a, @a, @a lengths @a starts @a workspace @ws kernel @s
    exec.attention @b, @lse = @a, @a, @a lengths @a starts @a workspace @ws kernel @s sizes [1, 2, 2, 1, 1, 8] causal scale 0.5 block 2 scratch 256 threads 16 forward "attn" flops 1 bytes 1
    // CHECK: exec.attention_grad @b, @b, @b = @a, @a, @a, @a, @lse, @a workspace @ws kernel @p sizes [1, 2, 2, 1, 1, 8] scale 5.000000e-01 block 2 scratch 256 threads 16 backward "attn" flops 1 bytes 1
    exec.attention_grad @b, @b, @b = @a, @a, @a, @a, @lse, @a workspace @ws kernel @p sizes [1, 2, 2, 1, 1, 8] scale 0.5 block 2 scratch 256 threads 16 backward "attn" flops 1 bytes 1
    // CHECK: exec.fill @v size 32 update "zero" flops 0 bytes 32
    exec.fill @v size 32 update "zero" flops 0 bytes 32
    // CHECK: exec.gather @flat = @a ranks 4 size 64 forward "views" flops 0 bytes 192
    exec.gather @flat = @a ranks 4 size 64 forward "views" flops 0 bytes 192
    // CHECK: exec.reduce_scatter @a = @flat ranks 4 size 64 backward "views" flops 16 bytes 192
    exec.reduce_scatter @a = @flat ranks 4 size 64 backward "views" flops 16 bytes 192
    // CHECK: exec.copy @b = @a size 64 evaluate "keep" flops 0 bytes 128
    exec.copy @b = @a size 64 evaluate "keep" flops 0 bytes 128
  }
}
