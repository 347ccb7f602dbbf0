// What the machine runs: packed arithmetic of the full width, and no call of anything.
// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v4 --cpu-verify-object="cpu=x86-64-v4 object=%t.v4.o assembly=%t.s" -o /dev/null
// RUN: llvm-objdump -d --no-show-raw-insn %t.v4.o | FileCheck %s --check-prefix=V4
// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v3 --cpu-verify-object="cpu=x86-64-v3 object=%t.v3.o" -o /dev/null
// RUN: llvm-objdump -d --no-show-raw-insn %t.v3.o | FileCheck %s --check-prefix=V3
// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v2 --cpu-verify-object="cpu=x86-64-v2 object=%t.v2.o" -o /dev/null
// RUN: llvm-objdump -d --no-show-raw-insn %t.v2.o | FileCheck %s --check-prefix=V2
// RUN: not vcc-opt %S/Inputs/calls.mlir --cpu-verify-object 2>&1 | FileCheck %s --check-prefix=CALLS

// CALLS: kernel `scalar` calls `expf`, but kernels may call nothing

// V4-NOT: call
// V4-LABEL: <flat_math>:
// V4: vfmadd{{[0-9]+}}ps {{.*}}%zmm
// V4-NOT: call
// V4-LABEL: <row_attention>:
// V4: vdivps {{.*}}%zmm
// V4-NOT: call

// V3-NOT: call
// V3-LABEL: <flat_math>:
// V3: vfmadd{{[0-9]+}}ps {{.*}}%ymm
// V3-NOT: call
// V3-LABEL: <row_attention>:
// V3: vdivps {{.*}}%ymm
// V3-NOT: call

// V2-NOT: call
// V2-LABEL: <flat_math>:
// V2: mulps %xmm
// V2-NOT: call
tg.kernel @flat_math(%x: tensor<f32>, %z: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>, #tg.param<scalar>], results = [#tg.result<scalar>]} {
  %a = tg.exp %x : tensor<f32>
  %b = tg.log %a : tensor<f32>
  %c = tg.tanh %b : tensor<f32>
  %d = tg.erf %c : tensor<f32>
  %e = tg.sigmoid %d : tensor<f32>
  %f = tg.sin %e : tensor<f32>
  %g = tg.cos %f : tensor<f32>
  %h = tg.pow %g, %z : tensor<f32>
  %i = tg.rsqrt %h : tensor<f32>
  %j = tg.floor %i : tensor<f32>
  tg.yield %j : tensor<f32>
}

tg.kernel @row_attention(%x: tensor<56xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 56 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  %y = tg.softmax %x : tensor<56xf32>
  tg.yield %y : tensor<56xf32>
}
