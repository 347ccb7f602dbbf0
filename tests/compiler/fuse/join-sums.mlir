// RUN: vcc-opt %s --tg-outline-kernels --tg-join-sums --split-input-file | FileCheck %s

// Two sums of 16384 rows go to neighbours: one launch finishes both, over 64 parts each, and writes them at once.
// CHECK-LABEL: module @neighbours
// CHECK: tg.state @"flat[0..16]" gradient in(@flat, 0) : tensor<16xf32>
// CHECK: %[[P:.*]]:2 = tg.launch
// CHECK-SAME: rows_per_chunk = 256 : i64
// CHECK: %[[C:.*]] = tg.concat %[[P]]#0, %[[P]]#1 {axis = 0 : i64} : (tensor<64x8xf32>, tensor<64x8xf32>) -> tensor<128x8xf32>
// CHECK: tg.launch @{{.*}}(%[[C]])
// CHECK-SAME: dims = array<i64: 128>
// CHECK-SAME: rows_per_chunk = 64 : i64
// CHECK-SAME: -> tensor<2x8xf32>
// CHECK: tg.write @"flat[0..16]"
// CHECK-NOT: tg.launch
// CHECK-NOT: tg.write
module @neighbours {
  tg.state @flat gradient : tensor<32xf32>
  tg.state @a gradient in(@flat, 8) : tensor<8xf32>
  tg.state @b gradient in(@flat, 0) : tensor<8xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<16384x8xf32>
    %y = tg.mul %x, %x : tensor<16384x8xf32>
    %s = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    %t = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    tg.write @b, %s : tensor<8xf32>
    tg.write @a, %t : tensor<8xf32>
    return
  }
}

// -----

// What is added to old values is added in one launch too.
// CHECK-LABEL: module @accumulated
// CHECK: %[[T:.*]] = tg.launch {{.*}} -> tensor<2x8xf32>
// CHECK: %[[R:.*]] = tg.reshape %[[T]]
// CHECK: %[[O:.*]] = tg.read @"flat[0..16]" : tensor<16xf32>
// CHECK: tg.launch @{{flat.*}}(%[[O]], %[[R]])
// CHECK-SAME: dims = array<i64: 16>
// CHECK: tg.write @"flat[0..16]"
// CHECK-NOT: tg.write
module @accumulated {
  tg.state @flat gradient : tensor<32xf32>
  tg.state @a gradient in(@flat, 0) : tensor<8xf32>
  tg.state @b gradient in(@flat, 8) : tensor<8xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<16384x8xf32>
    %y = tg.mul %x, %x : tensor<16384x8xf32>
    %s = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    %t = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    %a = tg.read @a : tensor<8xf32>
    %as = tg.add %a, %s : tensor<8xf32>
    tg.write @a, %as : tensor<8xf32>
    %b = tg.read @b : tensor<8xf32>
    %bt = tg.add %b, %t : tensor<8xf32>
    tg.write @b, %bt : tensor<8xf32>
    return
  }
}

// -----

// Must not fire: there is a gap between the states, and the third is read again.
// CHECK-LABEL: module @apart
// CHECK-NOT: tg.concat
// CHECK: tg.write @a
// CHECK: tg.write @c
module @apart {
  tg.state @flat gradient : tensor<64xf32>
  tg.state @a gradient in(@flat, 0) : tensor<8xf32>
  tg.state @b gradient in(@flat, 16) : tensor<8xf32>
  tg.state @c gradient in(@flat, 24) : tensor<8xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<16384x8xf32>
    %y = tg.mul %x, %x : tensor<16384x8xf32>
    %z = tg.mul %y, %x : tensor<16384x8xf32>
    %s = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    %t = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    %u = tg.reduce %z {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16384x8xf32>) -> tensor<8xf32>
    tg.write @a, %s : tensor<8xf32>
    tg.write @b, %t : tensor<8xf32>
    tg.write @c, %u : tensor<8xf32>
    %c = tg.read @c : tensor<8xf32>
    tg.output "c", %c : tensor<8xf32>
    return
  }
}
