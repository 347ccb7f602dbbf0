// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// Plain, and with every option; four query heads read two key heads.
// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x5x4x8xf32>, %k: tensor<2x6x2x8xf32>, %v: tensor<2x6x2x8xf32>, %n: tensor<2xi32>,
                     %rng: tensor<4xi32>, %s: tensor<2x5xi32>, %g: tensor<2x5x4x8xf32>) {
  // CHECK: tg.attention %{{.*}}, %{{.*}}, %{{.*}} {scale = 5.000000e-01 : f64} : tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  %0:2 = tg.attention %q, %k, %v {scale = 0.5}
      : tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  // CHECK: tg.attention %{{.*}}, %{{.*}}, %{{.*}} lengths(%{{.*}} : tensor<2xi32>) rng(%{{.*}} : tensor<4xi32>) {causal
  %1:2 = tg.attention %q, %k, %v lengths(%n : tensor<2xi32>) rng(%rng : tensor<4xi32>)
      {causal, scale = 0.5, dropout = 0.1, site = #tg.site<"lm.layers.0">}
      : tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  // CHECK: tg.attention %{{.*}}, %{{.*}}, %{{.*}} lengths(%{{.*}} : tensor<2xi32>) starts(%{{.*}} : tensor<2x5xi32>) {causal
  %3:2 = tg.attention %q, %k, %v lengths(%n : tensor<2xi32>) starts(%s : tensor<2x5xi32>) {causal, scale = 0.5}
      : tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  // CHECK: tg.attention %{{.*}} {causal, samples = array<i64: 3, 4>, scale
  %4:2 = tg.attention %q, %q, %q lengths(%n : tensor<2xi32>) starts(%s : tensor<2x5xi32>) {causal, scale = 0.5, samples = array<i64: 3, 4>}
      : tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32>, tensor<2x5x4x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  // CHECK: tg.attention_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} lengths(%{{.*}} : tensor<2xi32>) starts(
  %2:3 = tg.attention_grad %q, %k, %v, %1#0, %1#1, %g lengths(%n : tensor<2xi32>) starts(%s : tensor<2x5xi32>) rng(%rng : tensor<4xi32>)
      {causal, scale = 0.5, dropout = 0.1, site = #tg.site<"lm.layers.0">}
      : tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32>, tensor<2x5x4x8xf32>, tensor<2x4x5xf32>, tensor<2x5x4x8xf32>
      -> tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32>
  return
}
