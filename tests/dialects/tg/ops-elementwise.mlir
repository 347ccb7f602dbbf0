// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// One operand, of every kind of element where that matters.
// CHECK-LABEL: func.func @unary
func.func @unary(%x: tensor<2x3xf32>, %i: tensor<4xi32>, %c: tensor<i1>) {
  // CHECK: tg.neg %{{.*}} : tensor<2x3xf32>
  %0 = tg.neg %x : tensor<2x3xf32>
  // CHECK: tg.neg %{{.*}} : tensor<4xi32>
  %1 = tg.neg %i : tensor<4xi32>
  // CHECK: tg.abs
  %2 = tg.abs %x : tensor<2x3xf32>
  // CHECK: tg.exp
  %3 = tg.exp %x : tensor<2x3xf32>
  // CHECK: tg.log
  %4 = tg.log %x : tensor<2x3xf32>
  // CHECK: tg.sqrt
  %5 = tg.sqrt %x : tensor<2x3xf32>
  // CHECK: tg.rsqrt
  %6 = tg.rsqrt %x : tensor<2x3xf32>
  // CHECK: tg.tanh
  %7 = tg.tanh %x : tensor<2x3xf32>
  // CHECK: tg.erf
  %8 = tg.erf %x : tensor<2x3xf32>
  // CHECK: tg.sin
  %9 = tg.sin %x : tensor<2x3xf32>
  // CHECK: tg.cos
  %10 = tg.cos %x : tensor<2x3xf32>
  // CHECK: tg.sigmoid
  %11 = tg.sigmoid %x : tensor<2x3xf32>
  // CHECK: tg.floor
  %12 = tg.floor %x : tensor<2x3xf32>
  // CHECK: tg.not %{{.*}} : tensor<i1>
  %13 = tg.not %c : tensor<i1>
  // CHECK: tg.stop_gradient
  %14 = tg.stop_gradient %x : tensor<2x3xf32>
  return
}

// CHECK-LABEL: func.func @binary
func.func @binary(%a: tensor<8xf32>, %b: tensor<8xf32>, %c: tensor<8xi1>) {
  // CHECK: tg.add %{{.*}}, %{{.*}} : tensor<8xf32>
  %0 = tg.add %a, %b : tensor<8xf32>
  // CHECK: tg.sub
  %1 = tg.sub %a, %b : tensor<8xf32>
  // CHECK: tg.mul
  %2 = tg.mul %a, %b : tensor<8xf32>
  // CHECK: tg.div
  %3 = tg.div %a, %b : tensor<8xf32>
  // CHECK: tg.max
  %4 = tg.max %a, %b : tensor<8xf32>
  // CHECK: tg.min
  %5 = tg.min %a, %b : tensor<8xf32>
  // CHECK: tg.pow
  %6 = tg.pow %a, %b : tensor<8xf32>
  // CHECK: tg.and %{{.*}}, %{{.*}} : tensor<8xi1>
  %7 = tg.and %c, %c : tensor<8xi1>
  // CHECK: tg.or
  %8 = tg.or %c, %c : tensor<8xi1>
  // CHECK: tg.compare %{{.*}}, %{{.*}} {predicate = #tg.predicate<le>} : tensor<8xf32>
  %9 = tg.compare %a, %b {predicate = #tg.predicate<le>} : tensor<8xf32>
  // CHECK: tg.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<8xi1>, tensor<8xf32>
  %10 = tg.select %9, %a, %b : tensor<8xi1>, tensor<8xf32>
  return
}

// CHECK-LABEL: func.func @others
func.func @others(%x: tensor<2xf32>, %y: tensor<3xui8>) {
  // CHECK: tg.constant dense<5.000000e-01> : tensor<2xf32>
  %0 = tg.constant dense<0.5> : tensor<2xf32>
  // CHECK: tg.cast %{{.*}} : tensor<3xui8> -> tensor<3xf32>
  %1 = tg.cast %y : tensor<3xui8> -> tensor<3xf32>
  // CHECK: tg.barrier %{{.*}}, %{{.*}} : tensor<2xf32>, tensor<3xui8>
  %2:2 = tg.barrier %x, %y : tensor<2xf32>, tensor<3xui8>
  // CHECK: tg.barrier %{{.*}} {border = #tg.border<enter 3>} : tensor<2xf32>
  %3 = tg.barrier %x {border = #tg.border<enter 3>} : tensor<2xf32>
  // CHECK: tg.barrier %{{.*}} {border = #tg.border<leave 3>} : tensor<2xf32>
  %4 = tg.barrier %3 {border = #tg.border<leave 3>} : tensor<2xf32>
  return
}
