// RUN: vcc-opt %s --tg-fuse --split-input-file | FileCheck %s

// What a kernel computes again because it reads what that is made of anyway: masks of dropout are drawn again too, but not many of
// them, since each number drawn costs as much as reading a value many times.

// Two masks: the kernel behind the product draws them, and reads no sum.
// CHECK-LABEL: module @two_masks
// CHECK-COUNT-4: tg.draw_uniform
// CHECK: func.func @f
// CHECK: %[[H:.*]] = tg.launch
// CHECK: tg.gemm %[[H]]
// CHECK-NOT: %[[H]]
module @two_masks {
  func.func @f() {
    %rng = tg.input "rng" : tensor<4xi32>
    %x = tg.input "x" : tensor<16x8xf32>
    %w = tg.input "w" : tensor<8x8xf32>
    %rate = tg.constant dense<0.1> : tensor<16x8xf32>
    %none = tg.constant dense<0.0> : tensor<16x8xf32>
    %p0 = tg.input "p0" : tensor<16x8xf32>
    %u0 = tg.random_uniform %rng {site = #tg.site<"drop0">} : (tensor<4xi32>) -> tensor<16x8xf32>
    %k0 = tg.compare %u0, %rate {predicate = #tg.predicate<ge>} : tensor<16x8xf32>
    %y0 = tg.select %k0, %p0, %none : tensor<16x8xi1>, tensor<16x8xf32>
    %h0 = tg.add %x, %y0 : tensor<16x8xf32>
    %p1 = tg.input "p1" : tensor<16x8xf32>
    %u1 = tg.random_uniform %rng {site = #tg.site<"drop1">} : (tensor<4xi32>) -> tensor<16x8xf32>
    %k1 = tg.compare %u1, %rate {predicate = #tg.predicate<ge>} : tensor<16x8xf32>
    %y1 = tg.select %k1, %p1, %none : tensor<16x8xi1>, tensor<16x8xf32>
    %h1 = tg.add %h0, %y1 : tensor<16x8xf32>
    %t = tg.dot_general %h1, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<16x8xf32>, tensor<8x8xf32>) -> tensor<16x8xf32>
    %z = tg.mul %t, %h1 : tensor<16x8xf32>
    %zx = tg.mul %z, %x : tensor<16x8xf32>
    %z0 = tg.mul %zx, %p0 : tensor<16x8xf32>
    %z1 = tg.mul %z0, %p1 : tensor<16x8xf32>
    tg.output "z", %z1 : tensor<16x8xf32>
    return
  }
}

// -----

// Three: it reads the sum.
// CHECK-LABEL: module @three_masks
// CHECK-COUNT-3: tg.draw_uniform
// CHECK-NOT: tg.draw_uniform
// CHECK: func.func @f
// CHECK: %[[H:.*]] = tg.launch
// CHECK: tg.gemm %[[H]]
// CHECK: tg.launch {{.*}}%[[H]]
module @three_masks {
  func.func @f() {
    %rng = tg.input "rng" : tensor<4xi32>
    %x = tg.input "x" : tensor<16x8xf32>
    %w = tg.input "w" : tensor<8x8xf32>
    %rate = tg.constant dense<0.1> : tensor<16x8xf32>
    %none = tg.constant dense<0.0> : tensor<16x8xf32>
    %p0 = tg.input "p0" : tensor<16x8xf32>
    %u0 = tg.random_uniform %rng {site = #tg.site<"drop0">} : (tensor<4xi32>) -> tensor<16x8xf32>
    %k0 = tg.compare %u0, %rate {predicate = #tg.predicate<ge>} : tensor<16x8xf32>
    %y0 = tg.select %k0, %p0, %none : tensor<16x8xi1>, tensor<16x8xf32>
    %h0 = tg.add %x, %y0 : tensor<16x8xf32>
    %p1 = tg.input "p1" : tensor<16x8xf32>
    %u1 = tg.random_uniform %rng {site = #tg.site<"drop1">} : (tensor<4xi32>) -> tensor<16x8xf32>
    %k1 = tg.compare %u1, %rate {predicate = #tg.predicate<ge>} : tensor<16x8xf32>
    %y1 = tg.select %k1, %p1, %none : tensor<16x8xi1>, tensor<16x8xf32>
    %h1 = tg.add %h0, %y1 : tensor<16x8xf32>
    %p2 = tg.input "p2" : tensor<16x8xf32>
    %u2 = tg.random_uniform %rng {site = #tg.site<"drop2">} : (tensor<4xi32>) -> tensor<16x8xf32>
    %k2 = tg.compare %u2, %rate {predicate = #tg.predicate<ge>} : tensor<16x8xf32>
    %y2 = tg.select %k2, %p2, %none : tensor<16x8xi1>, tensor<16x8xf32>
    %h2 = tg.add %h1, %y2 : tensor<16x8xf32>
    %t = tg.dot_general %h2, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<16x8xf32>, tensor<8x8xf32>) -> tensor<16x8xf32>
    %z = tg.mul %t, %h2 : tensor<16x8xf32>
    %zx = tg.mul %z, %x : tensor<16x8xf32>
    %z0 = tg.mul %zx, %p0 : tensor<16x8xf32>
    %z1 = tg.mul %z0, %p1 : tensor<16x8xf32>
    %z2 = tg.mul %z1, %p2 : tensor<16x8xf32>
    tg.output "z", %z2 : tensor<16x8xf32>
    return
  }
}
