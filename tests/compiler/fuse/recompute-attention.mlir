// RUN: vcc-opt %s --tg-fuse-cuda | FileCheck %s

// Attention with dropout keeps its scores in bf16 and nothing of its probabilities. The kernel of the forward gives what the product with
// the values reads, and the log-sum-exp; the kernel of the backward, which reads the scores, gives it once more for the values' gradient,
// though something waits for that; of the second layer, where it is read again soon, the first kernel gives both. The mask of lengths, which
// both layers share, is made where it is read, and no product's result is transposed by a kernel.
// CHECK-LABEL: func.func @f
// CHECK: %[[S1:.*]] = tg.gemm {{.*}} -> tensor<2x4x1x8x8xbf16>
// CHECK: %[[P1:.*]]:2 = tg.launch @{{.*}}%[[S1]]) {{.*}} -> (tensor<2x4x1x8x8xbf16>, tensor<2x4x1x8xf32>)
// CHECK: tg.gemm %[[P1]]#0, {{.*}} -> tensor<2x8x4x1x8xbf16>
// CHECK: %[[S2:.*]] = tg.gemm {{.*}} -> tensor<2x4x1x8x8xbf16>
// CHECK: %[[P2:.*]]:3 = tg.launch @{{.*}}%[[S2]]) {{.*}} -> (tensor<2x4x1x8x8xbf16>, tensor<2x4x1x8xf32>, tensor<2x4x1x8x8xbf16>)
// CHECK: tg.gemm %[[P2]]#0, {{.*}} -> tensor<2x8x4x1x8xbf16>
// CHECK: tg.loss
// CHECK-NOT: %[[P1]]#0
// CHECK: tg.launch @{{.*}}%[[S2]], %[[P2]]#1{{.*}} -> tensor<2x4x1x8x8xbf16>
// CHECK-NOT: %[[P1]]#0
// CHECK: tg.gemm %[[P2]]#2, {{.*}} -> tensor<2x8x4x8xbf16>
// CHECK-NOT: %[[P1]]#0
// CHECK: %[[D1:.*]]:2 = tg.launch @{{.*}}%[[S1]], %[[P1]]#1{{.*}} -> (tensor<2x4x1x8x8xbf16>, tensor<2x4x1x8x8xbf16>)
// CHECK: tg.gemm %[[D1]]#1, {{.*}} -> tensor<2x8x4x8xbf16>
func.func @f() {
  %text = tg.input "text" : tensor<2xi32>
  %queries = tg.constant dense<2> : tensor<2xi32>
  %n = tg.add %text, %queries : tensor<2xi32>
  %rng = tg.input "rng" : tensor<4xi32>
  %embedded = tg.input "embedded" : tensor<2x8x4x8xbf16>
  %k1 = tg.input "k1" : tensor<2x8x4x8xbf16>
  %v1 = tg.input "v1" : tensor<2x8x4x8xbf16>
  %k2 = tg.input "k2" : tensor<2x8x4x8xbf16>
  %v2 = tg.input "v2" : tensor<2x8x4x8xbf16>
  %x = tg.input "x" : tensor<2x8x4x8xbf16>
  %q = tg.tanh %embedded : tensor<2x8x4x8xbf16>
  %o1:2 = tg.attention %q, %k1, %v1 lengths(%n : tensor<2xi32>) rng(%rng : tensor<4xi32>) {scale = 0.5, dropout = 0.1, site = #tg.site<"layer1">}
      : tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16> -> tensor<2x8x4x8xbf16>, tensor<2x4x8xf32>
  %h1 = tg.tanh %o1#0 : tensor<2x8x4x8xbf16>
  %o2:2 = tg.attention %h1, %k2, %v2 lengths(%n : tensor<2xi32>) rng(%rng : tensor<4xi32>) {scale = 0.5, dropout = 0.1, site = #tg.site<"layer2">}
      : tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16> -> tensor<2x8x4x8xbf16>, tensor<2x4x8xf32>
  %h2 = tg.tanh %o2#0 : tensor<2x8x4x8xbf16>
  %wide = tg.cast %h2 : tensor<2x8x4x8xbf16> -> tensor<2x8x4x8xf32>
  %loss = tg.reduce %wide {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1, 2, 3>} : (tensor<2x8x4x8xf32>) -> tensor<f32>
  tg.loss %loss : tensor<f32>
  %factor = tg.broadcast %loss {axes = array<i64>} : (tensor<f32>) -> tensor<2x8x4x8xf32>
  %narrow = tg.cast %factor : tensor<2x8x4x8xf32> -> tensor<2x8x4x8xbf16>
  %d2 = tg.mul %x, %narrow : tensor<2x8x4x8xbf16>
  %g2:3 = tg.attention_grad %h1, %k2, %v2, %o2#0, %o2#1, %d2 lengths(%n : tensor<2xi32>) rng(%rng : tensor<4xi32>) {scale = 0.5, dropout = 0.1, site = #tg.site<"layer2">}
      : tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x4x8xf32>, tensor<2x8x4x8xbf16> -> tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>
  %d1 = tg.mul %g2#0, %h1 : tensor<2x8x4x8xbf16>
  %s2 = tg.add %g2#1, %g2#2 : tensor<2x8x4x8xbf16>
  tg.output "s2", %s2 : tensor<2x8x4x8xbf16>
  %g1:3 = tg.attention_grad %q, %k1, %v1, %o1#0, %o1#1, %d1 lengths(%n : tensor<2xi32>) rng(%rng : tensor<4xi32>) {scale = 0.5, dropout = 0.1, site = #tg.site<"layer1">}
      : tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x4x8xf32>, tensor<2x8x4x8xbf16> -> tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>, tensor<2x8x4x8xbf16>
  %s1 = tg.add %g1#1, %g1#2 : tensor<2x8x4x8xbf16>
  tg.output "s1", %s1 : tensor<2x8x4x8xbf16>
  tg.output "dq", %g1#0 : tensor<2x8x4x8xbf16>
  return
}
