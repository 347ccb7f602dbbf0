// RUN: vcc-opt %s --tg-separate-samples | FileCheck %s
// RUN: vcc-opt %s --tg-separate-samples --tg-split-composites=attention=unsupported | FileCheck %s --check-prefix=CALLS

// Samples of two rows of 16 get four rows of 8, counted from starts and lengths once for all attention over these rows.
// CHECK-LABEL: func.func @rows
// CALLS-LABEL: func.func @rows
func.func @rows() {
  %q = tg.input "q" : tensor<2x16x4x8xbf16>
  %k = tg.input "k" : tensor<2x16x2x8xbf16>
  %n = tg.input "n" : tensor<2xi32>
  %s = tg.input "s" : tensor<2x16xi32>
  // CHECK: %[[LENGTHS:.*]] = tg.max %{{.*}} : tensor<4xi32>
  // CHECK: %[[Q:.*]] = tg.gather %{{.*}}, %[[FROM:.*]] : (tensor<32x32xbf16>, tensor<4x8xi32>) -> tensor<4x8x32xbf16>
  // CHECK: %[[QROWS:.*]] = tg.reshape %[[Q]] : (tensor<4x8x32xbf16>) -> tensor<4x8x4x8xbf16>
  // CHECK: %[[K:.*]] = tg.gather %{{.*}}, %[[FROM]] : (tensor<32x16xbf16>, tensor<4x8xi32>) -> tensor<4x8x16xbf16>
  // CHECK: %[[KROWS:.*]] = tg.reshape %[[K]]
  // CHECK: %[[V:.*]] = tg.gather
  // CHECK: %[[VROWS:.*]] = tg.reshape %[[V]]
  // CHECK: %[[OUT:.*]], %[[LSE:.*]] = tg.attention %[[QROWS]], %[[KROWS]], %[[VROWS]] lengths(%[[LENGTHS]] : tensor<4xi32>) {causal
  // CHECK-NOT: samples
  // CHECK: tg.reshape %[[OUT]] : (tensor<4x8x4x8xbf16>) -> tensor<32x32xbf16>
  // CHECK: tg.gather %{{.*}}, %[[TO:.*]] : (tensor<32x32xbf16>, tensor<2x16xi32>) -> tensor<2x16x32xbf16>
  // CHECK: tg.select
  // The cotangents are zeros behind each sample.
  // CHECK: tg.gather %{{.*}}, %[[FROM]]
  // CHECK: %[[DOUT:.*]] = tg.select
  // CHECK: %[[DROWS:.*]] = tg.reshape %[[DOUT]]
  // CHECK: tg.attention_grad %[[QROWS]], %[[KROWS]], %[[VROWS]], %[[OUT]], %[[LSE]], %[[DROWS]] lengths(%[[LENGTHS]] : tensor<4xi32>) {causal
  // CHECK-COUNT-3: tg.gather %{{.*}}, %[[TO]]
  // CHECK-NOT: tg.iota
  // CHECK: tg.attention
  // CALLS: tg.attention %
  // CALLS: tg.attention_grad
  // CALLS: tg.attention %
  // CALLS-NOT: tg.dot_general
  %o:2 = tg.attention %q, %k, %k lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xbf16>, tensor<2x16x2x8xbf16>, tensor<2x16x2x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  %g:3 = tg.attention_grad %q, %k, %k, %o#0, %o#1, %q lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5}
      : tensor<2x16x4x8xbf16>, tensor<2x16x2x8xbf16>, tensor<2x16x2x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>, tensor<2x16x4x8xbf16>
      -> tensor<2x16x4x8xbf16>, tensor<2x16x2x8xbf16>, tensor<2x16x2x8xbf16>
  %p:2 = tg.attention %o#0, %k, %k lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xbf16>, tensor<2x16x2x8xbf16>, tensor<2x16x2x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  tg.output "p", %p#0 : tensor<2x16x4x8xbf16>
  tg.output "g", %g#0 : tensor<2x16x4x8xbf16>
  tg.output "h", %g#1 : tensor<2x16x2x8xbf16>
  tg.output "i", %g#2 : tensor<2x16x2x8xbf16>
  return
}

// A segment that is computed again reads them through a barrier: they are counted once all the same.
// CHECK-LABEL: func.func @again
// CALLS-LABEL: func.func @again
func.func @again() {
  %q = tg.input "q" : tensor<2x16x4x8xbf16>
  %n = tg.input "n" : tensor<2xi32>
  %s = tg.input "s" : tensor<2x16xi32>
  // CHECK: tg.attention %
  // CHECK: tg.barrier
  // CHECK-NOT: tg.iota
  // CHECK: tg.attention %
  // CHECK: tg.attention_grad
  // CHECK-NOT: starts(
  // CALLS: tg.attention %
  // CALLS: tg.attention %
  // CALLS: tg.attention_grad
  // CALLS-NOT: tg.dot_general
  %o:2 = tg.attention %q, %q, %q lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  %b:2 = tg.barrier %q, %s : tensor<2x16x4x8xbf16>, tensor<2x16xi32>
  %p:2 = tg.attention %b#0, %b#0, %b#0 lengths(%n : tensor<2xi32>) starts(%b#1 : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  %g:3 = tg.attention_grad %b#0, %b#0, %b#0, %p#0, %p#1, %o#0 lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5}
      : tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>, tensor<2x16x4x8xbf16>
      -> tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>
  tg.output "o", %o#0 : tensor<2x16x4x8xbf16>
  tg.output "g", %g#0 : tensor<2x16x4x8xbf16>
  return
}

// Nothing is known of the samples; another type; a head size that no library has; dropout; log-sum-exps that are read.
// CHECK-LABEL: func.func @keeps_others
// CHECK-NOT: tg.gather
// CHECK: return
// CALLS-LABEL: func.func @keeps_others
// CALLS-NOT: tg.attention
func.func @keeps_others() {
  %q = tg.input "q" : tensor<2x16x4x8xbf16>
  %f = tg.input "f" : tensor<2x16x4x8xf32>
  %x = tg.input "x" : tensor<2x16x4x12xbf16>
  %n = tg.input "n" : tensor<2xi32>
  %s = tg.input "s" : tensor<2x16xi32>
  %r = tg.input "r" : tensor<4xi32>
  %a:2 = tg.attention %q, %q, %q lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5}
      : tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  %b:2 = tg.attention %f, %f, %f lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32> -> tensor<2x16x4x8xf32>, tensor<2x4x16xf32>
  %c:2 = tg.attention %x, %x, %x lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x12xbf16>, tensor<2x16x4x12xbf16>, tensor<2x16x4x12xbf16> -> tensor<2x16x4x12xbf16>, tensor<2x4x16xf32>
  %d:2 = tg.attention %q, %q, %q lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) rng(%r : tensor<4xi32>)
      {causal, scale = 0.5, dropout = 0.1, site = #tg.site<"d">, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  %e:2 = tg.attention %q, %q, %q lengths(%n : tensor<2xi32>) starts(%s : tensor<2x16xi32>) {causal, scale = 0.5, samples = array<i64: 4, 8>}
      : tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16>, tensor<2x16x4x8xbf16> -> tensor<2x16x4x8xbf16>, tensor<2x4x16xf32>
  tg.output "a", %a#0 : tensor<2x16x4x8xbf16>
  tg.output "b", %b#0 : tensor<2x16x4x8xf32>
  tg.output "c", %c#0 : tensor<2x16x4x12xbf16>
  tg.output "d", %d#0 : tensor<2x16x4x8xbf16>
  tg.output "e", %e#1 : tensor<2x4x16xf32>
  return
}
