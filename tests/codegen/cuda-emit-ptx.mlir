// RUN: vcc-opt %s --cuda-lower-kernels --cuda-emit-ptx=ptx=- -o %t | FileCheck %s

// Any driver since CUDA 12.0 reads this.
// CHECK: .version 8.0
// CHECK: .target sm_80
// CHECK: .entry gelu_r1v8_uu(
// CHECK-COUNT-3: .param .u64
// CHECK: .maxntid 256
// Whole vectors, halves and back (widened by a shift: some assemblers know the conversion from sm_90 on only), a correctly rounded
// quotient, multiply-adds fused where they are written so and nowhere else; no call, no local memory.
// CHECK-NOT: call
// CHECK-NOT: .local
// CHECK-NOT: cvt.f32.bf16
// CHECK-NOT: {{(add|mul|sub)\.f32}}
// CHECK: ld.global.v4
// CHECK: fma.rn.f32
// CHECK: add.rn.f32
// CHECK: rcp.rn.f32
// CHECK: mul.rn.f32
// CHECK: cvt.rn.bf16.f32
// CHECK: st.global.v4
// Memory of a block begins where accesses of 16 bytes may, which LLVM takes for granted where an array is that long.
// CHECK: .entry most_r1v4_aa(
// CHECK: .shared .align 16 .b8 {{.*}}[32];
tg.kernel @gelu(%x: tensor<bf16>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  %f = tg.cast %x : tensor<bf16> -> tensor<f32>
  %s = tg.sigmoid %f : tensor<f32>
  %p = tg.mul %f, %s : tensor<f32>
  %y = tg.cast %p : tensor<f32> -> tensor<bf16>
  tg.yield %y : tensor<bf16>
}
tg.kernel @most(%x: tensor<4096xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4096 : i64,
    params = [#tg.param<row>], results = [#tg.result<scalar>]} {
  %s = tg.reduce %x {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<4096xf32>) -> tensor<f32>
  tg.yield %s : tensor<f32>
}
exec.module @m sizes {weights = 0, state = 0, arena = 65536, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 8192 : tensor<4096xbf16> why "test"
  exec.buffer @r arena at 8192 size 32768 : tensor<2x4096xf32> why "test"
  exec.buffer @s arena at 40960 size 8 : tensor<2xf32> why "test"
  exec.function @f {
    exec.launch @gelu reads [@x] writes [@x] dims [4096] access [#tg.access<0, [1]>, #tg.access<0, [1]>] units 4096
        forward "a" flops 0 bytes 0
    exec.launch @most reads [@r] writes [@s] dims [2] access [#tg.access<0, [4096]>, #tg.access<0, [1]>] units 2
        forward "a" flops 0 bytes 0
  }
}
