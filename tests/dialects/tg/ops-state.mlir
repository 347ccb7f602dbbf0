// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK: module attributes {tg.stage = "instruct"}
module attributes {tg.stage = "instruct"} {
  // CHECK: tg.state @"group0:weight" weight : tensor<48xf32>
  tg.state @"group0:weight" weight : tensor<48xf32>
  // CHECK: tg.state @head.weight weight trainable in(@"group0:weight", 16) : tensor<4x4xf32>
  tg.state @"head.weight" weight trainable in(@"group0:weight", 16) : tensor<4x4xf32>
  // CHECK: tg.state @"joined:lm.weight" weight joined : tensor<72x32xbf16>
  tg.state @"joined:lm.weight" weight joined : tensor<72x32xbf16>
  // CHECK: tg.state @lm.weight weight transposed in(@"joined:lm.weight", 0) : tensor<64x32xbf16>
  tg.state @"lm.weight" weight transposed in(@"joined:lm.weight", 0) : tensor<64x32xbf16>
  // CHECK: tg.state @"gradient:head.weight" gradient : tensor<4x4xf32>
  tg.state @"gradient:head.weight" gradient : tensor<4x4xf32>
  // CHECK: tg.state @m moment : tensor<48xf32>
  tg.state @m moment : tensor<48xf32>
  // CHECK: tg.state @steps counter : tensor<i64>
  tg.state @steps counter : tensor<i64>

  // CHECK-LABEL: func.func @forward_main
  func.func @forward_main() {
    // CHECK: tg.input "clip.pixels" : tensor<2x3xui8>
    %0 = tg.input "clip.pixels" : tensor<2x3xui8>
    // CHECK: tg.read @head.weight : tensor<4x4xf32>
    %1 = tg.read @"head.weight" : tensor<4x4xf32>
    // CHECK: tg.write @"gradient:head.weight", %{{.*}} : tensor<4x4xf32>
    tg.write @"gradient:head.weight", %1 : tensor<4x4xf32>
    // CHECK: tg.write @"gradient:head.weight", %{{.*}} {accumulate} : tensor<4x4xf32>
    tg.write @"gradient:head.weight", %1 {accumulate} : tensor<4x4xf32>
    %2 = tg.reduce %1 {axes = array<i64: 0, 1>, kind = #tg.reduce_kind<sum>} : (tensor<4x4xf32>) -> tensor<f32>
    // CHECK: tg.output "loss.lm", %{{.*}} : tensor<f32>
    tg.output "loss.lm", %2 : tensor<f32>
    // CHECK: tg.loss %{{.*}} : tensor<f32>
    tg.loss %2 : tensor<f32>
    return
  }
}
