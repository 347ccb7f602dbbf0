// RUN: vcc-opt %s --tg-fuse-cuda --exec-schedule=device=true | FileCheck %s
// RUN: vcc-opt %s --tg-fuse-cuda-split --exec-schedule=device=true | FileCheck %s --check-prefix=SPLIT

// On a GPU attention is a library's call: no kernel is named, and the workspace is what the call may use, in the arena. That of
// the gradient holds the scores' gradients (8 heads of samples x 64 queries x 128 keys in bf16), a sum for each query, and
// here, where two heads read the same keys, the gradients of all heads.
module attributes {tg.stage = "s"} {
// CHECK: exec.buffer @[[F:.*]] arena at {{.*}} size 65536 {{.*}} why "workspace of attention"
// CHECK: exec.buffer @[[B:.*]] arena at {{.*}} size 721152 {{.*}} why "workspace of attention"
// CHECK: exec.attention @{{.*}} workspace @[[F]] sizes [2, 5, 5, 4, 2, 128] causal scale 5.000000e-01 block 1 scratch 65536 threads 1
// CHECK: exec.attention_grad @{{.*}} workspace @[[B]] sizes [2, 5, 5, 4, 2, 128] causal scale 5.000000e-01 block 1 scratch 721152 threads 1
// SPLIT-NOT: exec.attention
// SPLIT: exec.gemm
func.func @micro_main() {
  %q = tg.input "q" : tensor<2x5x4x128xbf16>
  %k = tg.input "k" : tensor<2x5x2x128xbf16>
  %v = tg.input "v" : tensor<2x5x2x128xbf16>
  %o:2 = tg.attention %q, %k, %v {causal, scale = 0.5}
      : tensor<2x5x4x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x2x128xbf16> -> tensor<2x5x4x128xbf16>, tensor<2x4x5xf32>
  %g:3 = tg.attention_grad %q, %k, %v, %o#0, %o#1, %q {causal, scale = 0.5}
      : tensor<2x5x4x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x4x128xbf16>, tensor<2x4x5xf32>, tensor<2x5x4x128xbf16>
      -> tensor<2x5x4x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x2x128xbf16>
  tg.output "o", %o#0 : tensor<2x5x4x128xbf16>
  tg.output "dq", %g#0 : tensor<2x5x4x128xbf16>
  tg.output "dk", %g#1 : tensor<2x5x2x128xbf16>
  tg.output "dv", %g#2 : tensor<2x5x2x128xbf16>
  return
}
}
