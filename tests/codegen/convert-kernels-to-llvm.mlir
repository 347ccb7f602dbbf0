// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v3 --cpu-convert-kernels-to-llvm | FileCheck %s

// Only the LLVM dialect remains.
// CHECK-NOT: {{(tg|arith|math|vector|scf|cf)\.}}
// CHECK-LABEL: llvm.func @row_norm(
// CHECK-NOT: {{(tg|arith|math|vector|scf|cf)\.}}
// CHECK: llvm.intr.fma{{.*}}vector<8xf32>
// CHECK-NOT: {{(tg|arith|math|vector|scf|cf)\.}}
tg.kernel @row_norm(%x: tensor<64xf32>, %e: tensor<f32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 64 : i64,
    params = [#tg.param<row>, #tg.param<uniform>], results = [#tg.result<row>, #tg.result<column_sum>]} {
  %xx = tg.mul %x, %x : tensor<64xf32>
  %s = tg.reduce %xx {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<64xf32>) -> tensor<f32>
  %a = tg.add %s, %e : tensor<f32>
  %r = tg.rsqrt %a : tensor<f32>
  %b = tg.broadcast %r {axes = array<i64>} : (tensor<f32>) -> tensor<64xf32>
  %y = tg.mul %x, %b : tensor<64xf32>
  %z = tg.exp %y : tensor<64xf32>
  tg.yield %z, %y : tensor<64xf32>, tensor<64xf32>
}
