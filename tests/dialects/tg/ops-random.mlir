// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// CHECK-LABEL: func.func @draws
func.func @draws(%rng: tensor<4xi32>, %w: tensor<5xi32>) {
  // CHECK: tg.random_uniform %{{.*}} {site = #tg.site<"vision.blocks[0].drop">} : (tensor<4xi32>) -> tensor<2x8xf32>
  %0 = tg.random_uniform %rng {site = #tg.site<"vision.blocks[0].drop">} : (tensor<4xi32>) -> tensor<2x8xf32>
  // CHECK: tg.random_normal %{{.*}} {site = #tg.site<"b">} : (tensor<4xi32>) -> tensor<2xf32>
  %1 = tg.random_normal %rng {site = #tg.site<"b">} : (tensor<4xi32>) -> tensor<2xf32>
  // CHECK: tg.draw_uniform key(%{{.*}}, %{{.*}}) counter(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : tensor<5xi32> -> tensor<5xf32>
  %2 = tg.draw_uniform key(%w, %w) counter(%w, %w, %w, %w) : tensor<5xi32> -> tensor<5xf32>
  // CHECK: tg.draw_normal
  %3 = tg.draw_normal key(%w, %w) counter(%w, %w, %w, %w) : tensor<5xi32> -> tensor<5xf32>
  return
}
