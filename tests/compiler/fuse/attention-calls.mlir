// RUN: vcc-opt %s --tg-split-composites=attention=unsupported | FileCheck %s
// RUN: vcc-opt %s --tg-split-composites=attention=all | FileCheck %s --check-prefix=ALL
// RUN: vcc-opt %s --tg-split-composites | FileCheck %s --check-prefix=DROPOUT

// What cuDNN is asked for: bf16, a head size of whole 16 bytes up to 128, any number of heads, masks that it has.
// ALL-NOT: tg.attention
// CHECK-LABEL: func.func @causal
func.func @causal() {
  %q = tg.input "q" : tensor<2x5x4x128xbf16>
  %k = tg.input "k" : tensor<2x5x2x128xbf16>
  %n = tg.input "n" : tensor<2xi32>
  // CHECK: tg.attention {{.*}} {causal
  // CHECK-NOT: tg.dot_general
  // CHECK: tg.attention_grad
  // CHECK-NOT: tg.dot_general
  %o:2 = tg.attention %q, %k, %k lengths(%n : tensor<2xi32>) {causal, scale = 0.5}
      : tensor<2x5x4x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x2x128xbf16> -> tensor<2x5x4x128xbf16>, tensor<2x4x5xf32>
  %g:3 = tg.attention_grad %q, %k, %k, %o#0, %o#1, %q lengths(%n : tensor<2xi32>) {causal, scale = 0.5}
      : tensor<2x5x4x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x4x128xbf16>, tensor<2x4x5xf32>, tensor<2x5x4x128xbf16>
      -> tensor<2x5x4x128xbf16>, tensor<2x5x2x128xbf16>, tensor<2x5x2x128xbf16>
  tg.output "o", %o#0 : tensor<2x5x4x128xbf16>
  tg.output "g", %g#0 : tensor<2x5x4x128xbf16>
  tg.output "h", %g#1 : tensor<2x5x2x128xbf16>
  tg.output "i", %g#2 : tensor<2x5x2x128xbf16>
  return
}

// CHECK-LABEL: func.func @cross
func.func @cross() {
  %q = tg.input "q" : tensor<2x3x4x88xbf16>
  %k = tg.input "k" : tensor<2x7x4x88xbf16>
  %n = tg.input "n" : tensor<2xi32>
  // CHECK: tg.attention
  %o:2 = tg.attention %q, %k, %k lengths(%n : tensor<2xi32>) {scale = 0.5}
      : tensor<2x3x4x88xbf16>, tensor<2x7x4x88xbf16>, tensor<2x7x4x88xbf16> -> tensor<2x3x4x88xbf16>, tensor<2x4x3xf32>
  // The last queries of many keys.
  // CHECK: tg.attention
  %p:2 = tg.attention %q, %k, %k {causal, scale = 0.5}
      : tensor<2x3x4x88xbf16>, tensor<2x7x4x88xbf16>, tensor<2x7x4x88xbf16> -> tensor<2x3x4x88xbf16>, tensor<2x4x3xf32>
  tg.output "o", %o#0 : tensor<2x3x4x88xbf16>
  tg.output "p", %p#0 : tensor<2x3x4x88xbf16>
  return
}

// And what it is not: another type, a head size that is odd or too large, several sequences in a row, lengths where
// the last query is not the last key's, queries before all keys, dropout, one query on one key.
// CHECK-LABEL: func.func @others
// CHECK-NOT: tg.attention
// DROPOUT-LABEL: func.func @others
// DROPOUT-COUNT-7: tg.attention
// DROPOUT-NOT: tg.attention
func.func @others() {
  %one = tg.input "one" : tensor<2x1x4x8xbf16>
  %z1:2 = tg.attention %one, %one, %one {scale = 0.5}
      : tensor<2x1x4x8xbf16>, tensor<2x1x4x8xbf16>, tensor<2x1x4x8xbf16> -> tensor<2x1x4x8xbf16>, tensor<2x4x1xf32>
  tg.output "z1", %z1#0 : tensor<2x1x4x8xbf16>
  %f = tg.input "f" : tensor<2x5x4x8xf32>
  %a:2 = tg.attention %f, %f, %f {scale = 0.5}
      : tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  tg.output "a", %a#0 : tensor<2x5x4x8xf32>
  %x = tg.input "x" : tensor<2x5x4x12xbf16>
  %b:2 = tg.attention %x, %x, %x {scale = 0.5}
      : tensor<2x5x4x12xbf16>, tensor<2x5x4x12xbf16>, tensor<2x5x4x12xbf16> -> tensor<2x5x4x12xbf16>, tensor<2x4x5xf32>
  tg.output "b", %b#0 : tensor<2x5x4x12xbf16>
  %y = tg.input "y" : tensor<2x5x4x136xbf16>
  %c:2 = tg.attention %y, %y, %y {scale = 0.5}
      : tensor<2x5x4x136xbf16>, tensor<2x5x4x136xbf16>, tensor<2x5x4x136xbf16> -> tensor<2x5x4x136xbf16>, tensor<2x4x5xf32>
  tg.output "c", %c#0 : tensor<2x5x4x136xbf16>
  %z = tg.input "z" : tensor<2x5x4x64xbf16>
  %w = tg.input "w" : tensor<2x7x4x64xbf16>
  %n = tg.input "n" : tensor<2xi32>
  %s = tg.input "s" : tensor<2x5xi32>
  %d:2 = tg.attention %z, %z, %z starts(%s : tensor<2x5xi32>) {causal, scale = 0.5}
      : tensor<2x5x4x64xbf16>, tensor<2x5x4x64xbf16>, tensor<2x5x4x64xbf16> -> tensor<2x5x4x64xbf16>, tensor<2x4x5xf32>
  tg.output "d", %d#0 : tensor<2x5x4x64xbf16>
  %e:2 = tg.attention %z, %w, %w lengths(%n : tensor<2xi32>) {causal, scale = 0.5}
      : tensor<2x5x4x64xbf16>, tensor<2x7x4x64xbf16>, tensor<2x7x4x64xbf16> -> tensor<2x5x4x64xbf16>, tensor<2x4x5xf32>
  tg.output "e", %e#0 : tensor<2x5x4x64xbf16>
  %g:2 = tg.attention %w, %z, %z {causal, scale = 0.5}
      : tensor<2x7x4x64xbf16>, tensor<2x5x4x64xbf16>, tensor<2x5x4x64xbf16> -> tensor<2x7x4x64xbf16>, tensor<2x4x7xf32>
  tg.output "g", %g#0 : tensor<2x7x4x64xbf16>
  %r = tg.input "rng" : tensor<4xi32>
  %h:2 = tg.attention %z, %z, %z rng(%r : tensor<4xi32>) {scale = 0.5, dropout = 0.1 : f64, site = #tg.site<"h">}
      : tensor<2x5x4x64xbf16>, tensor<2x5x4x64xbf16>, tensor<2x5x4x64xbf16> -> tensor<2x5x4x64xbf16>, tensor<2x4x5xf32>
  tg.output "h", %h#0 : tensor<2x5x4x64xbf16>
  return
}
