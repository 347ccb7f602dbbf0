// RUN: vcc-opt %s --split-input-file --verify-diagnostics --tg-differentiate --tg-simplify | FileCheck %s

// A stage with a scale: the gradient starts from it, while the loss is reported as it is.
// CHECK-LABEL: module @scaled
module @scaled attributes {tg.loss_scale = @"loss_scale:value"} {
  tg.state @"loss_scale:value" counter : tensor<1xf32>
  tg.state @w weight trainable : tensor<4xf32>
  func.func @forward_main() {
    // CHECK: %[[X:.*]] = tg.input "x"
    %x = tg.input "x" : tensor<4xf32>
    %w = tg.read @w : tensor<4xf32>
    %p = tg.mul %x, %w : tensor<4xf32>
    // CHECK: %[[L:.*]] = tg.reduce
    %l = tg.reduce %p {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<4xf32>) -> tensor<f32>
    // CHECK: tg.loss %[[L]]
    tg.loss %l : tensor<f32>
    // CHECK: %[[S:.*]] = tg.read @"loss_scale:value" : tensor<1xf32>
    // CHECK: %[[G:.*]] = tg.mul %{{.*}}, %[[X]] : tensor<4xf32>
    // CHECK: tg.write @"gradient:w", %[[G]] {accumulate} : tensor<4xf32>
    return
  }
}
