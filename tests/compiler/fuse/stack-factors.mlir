// RUN: vcc-opt %s --split-input-file --tg-stack-factors --canonicalize | FileCheck %s

// Two factors of one x, forward and backward: x is read once, and what the backward adds up for d(x) is one product. The gradients stay apart.
tg.state @a weight trainable : tensor<2x32xf32>
tg.state @b weight trainable : tensor<3x32xf32>
// CHECK-LABEL: func.func @micro_main
func.func @micro_main() {
  // CHECK-DAG: %[[X:.*]] = tg.input "x"
  // CHECK-DAG: %[[A:.*]] = tg.read @a
  // CHECK-DAG: %[[NA:.*]] = tg.cast %[[A]]
  // CHECK-DAG: %[[B:.*]] = tg.read @b
  // CHECK-DAG: %[[NB:.*]] = tg.cast %[[B]]
  // CHECK: %[[AB:.*]] = tg.concat %[[NA]], %[[NB]] {axis = 0 : i64} {{.*}} -> tensor<5x32xbf16>
  // CHECK: %[[ALL:.*]] = tg.dot_general %[[X]], %[[AB]] {{.*}}contract_b = array<i64: 1>} {{.*}} -> tensor<8x5xf32>
  // CHECK: %[[H:.*]] = tg.slice %[[ALL]] {offsets = array<i64: 0, 0>, sizes = array<i64: 8, 2>
  // CHECK: %[[I:.*]] = tg.slice %[[ALL]] {offsets = array<i64: 0, 2>, sizes = array<i64: 8, 3>
  %x = tg.input "x" : tensor<8x32xbf16>
  %ra = tg.read @a : tensor<2x32xf32>
  %na = tg.cast %ra : tensor<2x32xf32> -> tensor<2x32xbf16>
  %h = tg.dot_general %x, %na {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xbf16>, tensor<2x32xbf16>) -> tensor<8x2xf32>
  // CHECK: tg.output "h", %[[H]]
  tg.output "h", %h : tensor<8x2xf32>
  %rb = tg.read @b : tensor<3x32xf32>
  %nb = tg.cast %rb : tensor<3x32xf32> -> tensor<3x32xbf16>
  %i = tg.dot_general %x, %nb {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xbf16>, tensor<3x32xbf16>) -> tensor<8x3xf32>
  // CHECK: tg.output "i", %[[I]]
  tg.output "i", %i : tensor<8x3xf32>
  // CHECK: %[[GH:.*]] = tg.input "gh"
  // CHECK: %[[GI:.*]] = tg.input "gi"
  // CHECK: %[[MORE:.*]] = tg.input "more"
  // CHECK: %[[G:.*]] = tg.concat %[[GH]], %[[GI]] {axis = 1 : i64} {{.*}} -> tensor<8x5xbf16>
  // CHECK: %[[D:.*]] = tg.dot_general %[[G]], %[[AB]] {{.*}}contract_b = array<i64: 0>} {{.*}} -> tensor<8x32xbf16>
  // CHECK-NOT: tg.dot_general
  // CHECK: %[[W:.*]] = tg.cast %[[D]]
  // CHECK: %[[S:.*]] = tg.add %[[MORE]], %[[W]]
  // CHECK: tg.output "dx", %[[S]]
  %gh = tg.input "gh" : tensor<8x2xbf16>
  %gi = tg.input "gi" : tensor<8x3xbf16>
  %more = tg.input "more" : tensor<8x32xf32>
  %d = tg.dot_general %gh, %na {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<8x2xbf16>, tensor<2x32xbf16>) -> tensor<8x32xbf16>
  %wd = tg.cast %d : tensor<8x32xbf16> -> tensor<8x32xf32>
  %s = tg.add %more, %wd : tensor<8x32xf32>
  %e = tg.dot_general %gi, %nb {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<8x3xbf16>, tensor<3x32xbf16>) -> tensor<8x32xbf16>
  %we = tg.cast %e : tensor<8x32xbf16> -> tensor<8x32xf32>
  %t = tg.add %s, %we : tensor<8x32xf32>
  tg.output "dx", %t : tensor<8x32xf32>
  // CHECK: tg.dot_general %{{.*}}, %[[X]]
  %ga = tg.dot_general %gh, %x {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>} : (tensor<8x2xbf16>, tensor<8x32xbf16>) -> tensor<2x32xf32>
  tg.output "ga", %ga : tensor<2x32xf32>
  return
}

// -----

// Must not fire: of another x each, with a matrix that is not thin, that is frozen, or that the function changes.
tg.state @a weight trainable : tensor<2x32xf32>
tg.state @b weight trainable : tensor<2x32xf32>
tg.state @thick weight trainable : tensor<8x32xf32>
tg.state @frozen weight : tensor<2x32xf32>
tg.state @changed weight trainable : tensor<2x32xf32>
// CHECK-LABEL: func.func @micro_main
// CHECK-NOT: tg.concat
func.func @micro_main() {
  %x = tg.input "x" : tensor<8x32xf32>
  %y = tg.input "y" : tensor<8x32xf32>
  %0 = tg.read @a : tensor<2x32xf32>
  %1 = tg.dot_general %x, %0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<2x32xf32>) -> tensor<8x2xf32>
  tg.output "1", %1 : tensor<8x2xf32>
  %2 = tg.read @b : tensor<2x32xf32>
  %3 = tg.dot_general %y, %2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<2x32xf32>) -> tensor<8x2xf32>
  tg.output "3", %3 : tensor<8x2xf32>
  %4 = tg.read @thick : tensor<8x32xf32>
  %5 = tg.dot_general %x, %4 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<8x32xf32>) -> tensor<8x8xf32>
  tg.output "5", %5 : tensor<8x8xf32>
  %6 = tg.read @frozen : tensor<2x32xf32>
  %7 = tg.dot_general %x, %6 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<2x32xf32>) -> tensor<8x2xf32>
  tg.output "7", %7 : tensor<8x2xf32>
  %8 = tg.read @changed : tensor<2x32xf32>
  %9 = tg.dot_general %x, %8 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<2x32xf32>) -> tensor<8x2xf32>
  tg.output "9", %9 : tensor<8x2xf32>
  %10 = tg.neg %8 : tensor<2x32xf32>
  tg.write @changed, %10 : tensor<2x32xf32>
  return
}

// -----

// What goes into two sums stays two products.
tg.state @a weight trainable : tensor<2x32xf32>
tg.state @b weight trainable : tensor<2x32xf32>
// CHECK-LABEL: func.func @two_sums
// CHECK: tg.concat {{.*}} {axis = 0 : i64}
// CHECK-NOT: tg.concat
// CHECK: tg.add
// CHECK: tg.add
func.func @two_sums() {
  %x = tg.input "x" : tensor<8x32xf32>
  %g = tg.input "g" : tensor<8x2xf32>
  %0 = tg.read @a : tensor<2x32xf32>
  %1 = tg.dot_general %x, %0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<2x32xf32>) -> tensor<8x2xf32>
  %2 = tg.read @b : tensor<2x32xf32>
  %3 = tg.dot_general %x, %2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xf32>, tensor<2x32xf32>) -> tensor<8x2xf32>
  tg.output "1", %1 : tensor<8x2xf32>
  tg.output "3", %3 : tensor<8x2xf32>
  %4 = tg.dot_general %g, %0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<8x2xf32>, tensor<2x32xf32>) -> tensor<8x32xf32>
  %5 = tg.dot_general %g, %2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<8x2xf32>, tensor<2x32xf32>) -> tensor<8x32xf32>
  %6 = tg.add %x, %4 : tensor<8x32xf32>
  %7 = tg.add %x, %5 : tensor<8x32xf32>
  tg.output "6", %6 : tensor<8x32xf32>
  tg.output "7", %7 : tensor<8x32xf32>
  return
}
