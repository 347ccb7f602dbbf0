// RUN: vcc-opt %s --split-input-file --tg-narrow-precision | FileCheck %s
// RUN: vcc-opt %s --split-input-file --tg-narrow | FileCheck %s --check-prefix=CLEAN
// RUN: vcc-opt %s --split-input-file --tg-narrow=half | FileCheck %s --check-prefix=HALF
// HALF-LABEL: func.func @forward_linear
// HALF: %[[W:.*]] = tg.read @w : tensor<8x8xf16>
// HALF: %[[P:.*]] = tg.dot_general {{.*}} : (tensor<4x8xf16>, tensor<8x8xf16>) -> tensor<4x8xf32>
// HALF: tg.cast %{{.*}} : tensor<4x8xf32> -> tensor<4x8xf16>
// HALF-NOT: bf16

// A product takes bf16 and gives its sums; what is added to them is added before they are rounded. The frozen weight is stored in
// bf16, and so is what @init writes into it.
// CLEAN-LABEL: func.func @forward_linear
// CLEAN: %[[X:.*]] = tg.input "x" : tensor<4x8xf32>
// CLEAN: %[[X16:.*]] = tg.cast %[[X]] : tensor<4x8xf32> -> tensor<4x8xbf16>
// CLEAN: %[[W:.*]] = tg.read @w : tensor<8x8xbf16>
// CLEAN: %[[T:.*]] = tg.transpose %[[W]] {permutation = array<i64: 1, 0>} : (tensor<8x8xbf16>) -> tensor<8x8xbf16>
// CLEAN: %[[B:.*]] = tg.read @b : tensor<8xf32>
// CLEAN: %[[B16:.*]] = tg.cast %[[B]] : tensor<8xf32> -> tensor<8xbf16>
// CLEAN: %[[B32:.*]] = tg.cast %[[B16]] : tensor<8xbf16> -> tensor<8xf32>
// CLEAN: %[[P:.*]] = tg.dot_general %[[X16]], %[[T]] {{.*}} : (tensor<4x8xbf16>, tensor<8x8xbf16>) -> tensor<4x8xf32>
// CLEAN: %[[R:.*]] = tg.broadcast %[[B32]]
// CLEAN: %[[S:.*]] = tg.add %[[P]], %[[R]] : tensor<4x8xf32>
// CLEAN: %[[S16:.*]] = tg.cast %[[S]] : tensor<4x8xf32> -> tensor<4x8xbf16>
// CLEAN: %[[S32:.*]] = tg.cast %[[S16]] : tensor<4x8xbf16> -> tensor<4x8xf32>
// CLEAN: tg.tanh %[[S32]] : tensor<4x8xf32>
func.func @forward_linear() {
  %x = tg.input "x" : tensor<4x8xf32>
  %w = tg.read @w : tensor<8x8xf32>
  %t = tg.transpose %w {permutation = array<i64: 1, 0>} : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %b = tg.read @b : tensor<8xf32>
  %p = tg.dot_general %x, %t {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>}
    : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %r = tg.broadcast %b {axes = array<i64: 1>} : (tensor<8xf32>) -> tensor<4x8xf32>
  %s = tg.add %p, %r : tensor<4x8xf32>
  %y = tg.tanh %s : tensor<4x8xf32>
  %l = tg.reduce %y {axes = array<i64: 0, 1>, kind = #tg.reduce_kind<sum>} : (tensor<4x8xf32>) -> tensor<f32>
  tg.loss %l : tensor<f32>
  return
}
// What steps change stays in f32, and so does the update.
// CHECK-LABEL: func.func @update
// CHECK-NOT: bf16
func.func @update() {
  %c = tg.read @changing : tensor<8xf32>
  %d = tg.add %c, %c : tensor<8xf32>
  tg.write @changing, %d : tensor<8xf32>
  return
}
// CHECK-LABEL: func.func @init
// CHECK: tg.write @w, %{{.*}} : tensor<8x8xbf16>
// CHECK: tg.write @b, %{{.*}} : tensor<8xf32>
func.func @init() {
  %w = tg.input "w" : tensor<8x8xf32>
  %b = tg.input "b" : tensor<8xf32>
  tg.write @w, %w : tensor<8x8xf32>
  tg.write @b, %b : tensor<8xf32>
  return
}
// CHECK: tg.state @w weight : tensor<8x8xbf16>
// CHECK: tg.state @flat weight : tensor<8xf32>
// CHECK: tg.state @b weight trainable in(@flat, 0) : tensor<8xf32>
// CHECK: tg.state @changing weight : tensor<8xf32>
tg.state @w weight : tensor<8x8xf32>
tg.state @flat weight : tensor<8xf32>
tg.state @b weight trainable in(@flat, 0) : tensor<8xf32>
tg.state @changing weight : tensor<8xf32>

// -----

// What a later kernel reads is rounded where it is made, for all its readers; statistics, the loss and positions are not.
// CLEAN-LABEL: func.func @forward_stream
func.func @forward_stream() {
  %x = tg.input "x" : tensor<4x8xf32>
  %w = tg.read @w : tensor<8x8xf32>
  %i = tg.iota {axis = 1 : i64} : tensor<4x8xi32>
  %f = tg.cast %i : tensor<4x8xi32> -> tensor<4x8xf32>
  // CLEAN: %[[C:.*]] = tg.cos %{{.*}} : tensor<4x8xf32>
  // CLEAN-NOT: tg.cast %[[C]]
  %c = tg.cos %f : tensor<4x8xf32>
  %p = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>}
    : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  // CLEAN: %[[E:.*]] = tg.exp %{{.*}} : tensor<4x8xf32>
  // CLEAN: %[[E16:.*]] = tg.cast %[[E]] : tensor<4x8xf32> -> tensor<4x8xbf16>
  // CLEAN: %[[E32:.*]] = tg.cast %[[E16]]
  // CLEAN: %[[M:.*]] = tg.reduce %[[E32]]
  // CLEAN-NOT: tg.cast %[[M]]
  // CLEAN: %[[Q:.*]] = tg.dot_general %[[E16]], %{{.*}} -> tensor<4x8xf32>
  %e = tg.exp %p : tensor<4x8xf32>
  %m = tg.reduce %e {axes = array<i64: 1>, kind = #tg.reduce_kind<sum>} : (tensor<4x8xf32>) -> tensor<4xf32>
  %q = tg.dot_general %e, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>}
    : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  // CLEAN: %[[Q16:.*]] = tg.cast %[[Q]] : tensor<4x8xf32> -> tensor<4x8xbf16>
  // CLEAN: %[[Q32:.*]] = tg.cast %[[Q16]]
  // CLEAN: tg.sin %[[Q32]]
  %n = tg.sin %q : tensor<4x8xf32>
  // CLEAN: %[[T:.*]] = tg.mul %{{.*}}, %[[C]] : tensor<4x8xf32>
  // CLEAN: tg.add %[[T]], %[[E32]]
  %t = tg.mul %n, %c : tensor<4x8xf32>
  %o = tg.add %t, %e : tensor<4x8xf32>
  %b = tg.broadcast %m {axes = array<i64: 0>} : (tensor<4xf32>) -> tensor<4x8xf32>
  %z = tg.mul %o, %b : tensor<4x8xf32>
  %l = tg.reduce %z {axes = array<i64: 0, 1>, kind = #tg.reduce_kind<sum>} : (tensor<4x8xf32>) -> tensor<f32>
  // CLEAN: tg.loss %{{.*}} : tensor<f32>
  tg.loss %l : tensor<f32>
  return
}
tg.state @w weight trainable : tensor<8x8xf32>

// -----

// A sum with a tensor that is in memory is one library call: one rounding. Rows of a table are rounded when found; attention gives
// bf16 and logarithms in f32; a border is passed in bf16.
// CLEAN-LABEL: func.func @forward_residual
func.func @forward_residual() {
  %ids = tg.input "ids" : tensor<2x4xi32>
  %table = tg.read @table : tensor<16x8xf32>
  %w = tg.read @w : tensor<8x8xf32>
  // CLEAN: %[[G:.*]] = tg.gather %{{.*}}, %{{.*}} : (tensor<16x8xf32>, tensor<2x4xi32>) -> tensor<2x4x8xf32>
  // CLEAN: %[[G16:.*]] = tg.cast %[[G]]
  // CLEAN: %[[H:.*]] = tg.reshape %[[G16]] : (tensor<2x4x8xbf16>) -> tensor<2x4x1x8xbf16>
  %x = tg.gather %table, %ids : (tensor<16x8xf32>, tensor<2x4xi32>) -> tensor<2x4x8xf32>
  %h = tg.reshape %x : (tensor<2x4x8xf32>) -> tensor<2x4x1x8xf32>
  // CLEAN: %{{.*}}, %{{.*}} = tg.attention %[[H]], %[[H]], %[[H]] {causal, scale = 5.000000e-01 : f64} : tensor<2x4x1x8xbf16>, tensor<2x4x1x8xbf16>, tensor<2x4x1x8xbf16> -> tensor<2x4x1x8xbf16>, tensor<2x1x4xf32>
  %a, %lse = tg.attention %h, %h, %h {causal, scale = 5.000000e-01 : f64}
    : tensor<2x4x1x8xf32>, tensor<2x4x1x8xf32>, tensor<2x4x1x8xf32> -> tensor<2x4x1x8xf32>, tensor<2x1x4xf32>
  %j = tg.reshape %a : (tensor<2x4x1x8xf32>) -> tensor<2x4x8xf32>
  %p = tg.dot_general %j, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, contract_b = array<i64: 0>}
    : (tensor<2x4x8xf32>, tensor<8x8xf32>) -> tensor<2x4x8xf32>
  // CLEAN: %[[P:.*]] = tg.dot_general {{.*}} -> tensor<2x4x8xf32>
  // CLEAN: %[[S:.*]] = tg.add %[[P]], %{{.*}} : tensor<2x4x8xf32>
  // CLEAN: %[[S16:.*]] = tg.cast %[[S]] : tensor<2x4x8xf32> -> tensor<2x4x8xbf16>
  %s = tg.add %p, %x : tensor<2x4x8xf32>
  // CLEAN: tg.barrier %[[S16]] {border = #tg.border<enter 0>} : tensor<2x4x8xbf16>
  %e = tg.barrier %s {border = #tg.border<enter 0>} : tensor<2x4x8xf32>
  %l = tg.reduce %e {axes = array<i64: 0, 1, 2>, kind = #tg.reduce_kind<sum>} : (tensor<2x4x8xf32>) -> tensor<f32>
  tg.loss %l : tensor<f32>
  return
}
tg.state @table weight trainable : tensor<16x8xf32>
tg.state @w weight trainable : tensor<8x8xf32>
