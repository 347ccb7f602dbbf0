// RUN: vcc-opt %s --split-input-file --tg-join-low-rank | FileCheck %s
// RUN: vcc-opt %s --split-input-file --tg-join-low-rank --tg-fuse-cuda --exec-schedule | FileCheck %s --check-prefix=PLAN

// Two adapters and a plain matrix of one x, whose thin products come late: x is in memory once, in front of both thin results. The first
// sum's reader waits for the second adapter. A matrix lies transposed before the rows of all factors, and its own are written.
// CHECK: tg.state @"joined:q" weight joined : tensor<40x16xbf16>
// CHECK: tg.state @"joined:q:bq" weight in(@"joined:q", 512) : tensor<4x16xbf16>
// CHECK: tg.state @q weight transposed in(@"joined:q", 0) : tensor<32x16xbf16>
// CHECK: tg.state @k weight : tensor<16x32xbf16>
// CHECK: tg.state @"joined:v:bv" weight in(@"joined:v", 576) : tensor<3x16xbf16>
// PLAN: exec.buffer @"joined:q" weights at 0 size 1280 : tensor<40x16xbf16>
// PLAN: exec.buffer @"joined:q:bq" weights at 1024 size 128 : tensor<4x16xbf16> view @"joined:q" why "low-rank factor"
// PLAN: exec.buffer @q weights at 0 size 1024 : tensor<32x16xbf16> transposed view @"joined:q"
tg.state @q weight : tensor<16x32xbf16>
tg.state @k weight : tensor<16x32xbf16>
tg.state @v weight : tensor<16x32xbf16>
tg.state @bq weight trainable : tensor<16x4xf32>
tg.state @bv weight trainable : tensor<16x3xf32>

// What initialises a matrix writes it transposed.
// CHECK-LABEL: func.func @init
func.func @init() {
  // CHECK: %[[W:.*]] = tg.input "w"
  // CHECK: %[[T:.*]] = tg.transpose %[[W]]
  // CHECK: tg.write @q, %[[T]] : tensor<32x16xbf16>
  %w = tg.input "w" : tensor<16x32xbf16>
  tg.write @q, %w : tensor<16x32xbf16>
  return
}

// CHECK-LABEL: func.func @micro_main
// PLAN: exec.function @micro_main
func.func @micro_main() {
  // CHECK: %[[B:.*]] = tg.read @bq
  // CHECK: %[[BT:.*]] = tg.transpose %[[B]]
  // CHECK: %[[NARROW:.*]] = tg.cast %[[BT]]
  // CHECK: tg.write @"joined:q:bq", %[[NARROW]] : tensor<4x16xbf16>
  // CHECK: %[[Q:.*]] = tg.read @"joined:q"
  // PLAN: exec.launch {{.*}} reads [@bq] writes [@"joined:q:bq"]
  %x = tg.input "x" : tensor<8x32xbf16>
  %hq = tg.input "hq" : tensor<8x4xbf16>
  %wq = tg.read @q : tensor<16x32xbf16>
  %pq = tg.dot_general %x, %wq {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xbf16>, tensor<16x32xbf16>) -> tensor<8x16xf32>
  %nq = tg.cast %pq : tensor<8x16xf32> -> tensor<8x16xbf16>
  %fq = tg.cast %nq : tensor<8x16xbf16> -> tensor<8x16xf32>
  %rq = tg.read @bq : tensor<16x4xf32>
  %cq = tg.cast %rq : tensor<16x4xf32> -> tensor<16x4xbf16>
  %tq = tg.dot_general %hq, %cq {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x4xbf16>, tensor<16x4xbf16>) -> tensor<8x16xf32>
  %sq = tg.add %fq, %tq : tensor<8x16xf32>
  tg.output "q", %sq : tensor<8x16xf32>
  %wk = tg.read @k : tensor<16x32xbf16>
  %pk = tg.dot_general %x, %wk {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xbf16>, tensor<16x32xbf16>) -> tensor<8x16xf32>
  tg.output "k", %pk : tensor<8x16xf32>
  %hv = tg.input "hv" : tensor<8x3xbf16>
  // CHECK: %[[ZERO:.*]] = tg.constant dense<0.0{{.*}}> : tensor<8x1xbf16>
  // CHECK: %[[XH:.*]] = tg.concat %{{.*}}, %{{.*}}, %{{.*}}, %[[ZERO]] {axis = 1 : i64} {{.*}} -> tensor<8x40xbf16>
  // CHECK: %[[X:.*]] = tg.slice %[[XH]]
  // CHECK: %[[PQ:.*]] = tg.dot_general %[[XH]], %[[Q]] {{.*}}contract_b = array<i64: 0>} {{.*}} -> tensor<8x16xf32>
  // CHECK: %[[N:.*]] = tg.cast %[[PQ]]
  // CHECK: %[[S:.*]] = tg.cast %[[N]]
  // CHECK-NOT: tg.add
  // CHECK: tg.output "q", %[[S]]
  // CHECK: tg.dot_general %[[X]], %{{.*}}contract_b = array<i64: 1>
  // PLAN: exec.gemm {{.*}} * @"joined:q" batch [1, 1] m 8 n 16 k 40 strides [0, 0, 40, 1], [0, 0, 16, 1]
  // PLAN-NOT: pack
  // PLAN: exec.gemm {{.*}} * @k batch [1, 1] m 8 n 16 k 32 strides [0, 0, 40, 1], [0, 0, 1, 32], [0, 0, 16, 1] pack
  // PLAN: exec.launch {{.*}} reads [@bv] writes [@"joined:v:bv"]
  // PLAN: exec.gemm {{.*}} * @"joined:v" batch [1, 1] m 8 n 16 k 40 strides [0, 0, 40, 1], [0, 0, 16, 1]
  %wv = tg.read @v : tensor<16x32xbf16>
  %pv = tg.dot_general %x, %wv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xbf16>, tensor<16x32xbf16>) -> tensor<8x16xf32>
  %rv = tg.read @bv : tensor<16x3xf32>
  %cv = tg.cast %rv : tensor<16x3xf32> -> tensor<16x3xbf16>
  %tv = tg.dot_general %hv, %cv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x3xbf16>, tensor<16x3xbf16>) -> tensor<8x16xf32>
  %sv = tg.add %tv, %pv : tensor<8x16xf32>
  tg.output "v", %sv : tensor<8x16xf32>
  // What the backward takes from one cotangent by a matrix and by its factor is one product, whose columns are both.
  // CHECK: %[[DQ:.*]] = tg.input "dq"
  // CHECK: %[[D:.*]] = tg.dot_general %[[DQ]], %[[Q]] {{.*}}contract_b = array<i64: 1>} {{.*}} -> tensor<8x40xbf16>
  // CHECK: tg.slice %[[D]] {offsets = array<i64: 0, 0>, sizes = array<i64: 8, 32>
  // CHECK: tg.slice %[[D]] {offsets = array<i64: 0, 32>, sizes = array<i64: 8, 4>
  // CHECK-NOT: tg.dot_general
  %dq = tg.input "dq" : tensor<8x16xbf16>
  %dh = tg.dot_general %dq, %cq {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<8x16xbf16>, tensor<16x4xbf16>) -> tensor<8x4xbf16>
  %dx = tg.dot_general %dq, %wq {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<8x16xbf16>, tensor<16x32xbf16>) -> tensor<8x32xbf16>
  tg.output "dh", %dh : tensor<8x4xbf16>
  tg.output "dx", %dx : tensor<8x32xbf16>
  return
}

// A function without adapters reads the matrix alone, and writes no rows.
// CHECK-LABEL: func.func @evaluate_plain
// CHECK-NOT: tg.write
// CHECK: %[[WHOLE:.*]] = tg.read @"joined:q"
// CHECK: tg.slice %[[WHOLE]] {offsets = array<i64: 0, 0>, sizes = array<i64: 32, 16>
func.func @evaluate_plain() {
  %x = tg.input "x" : tensor<8x32xbf16>
  %w = tg.read @q : tensor<16x32xbf16>
  %y = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<8x32xbf16>, tensor<16x32xbf16>) -> tensor<8x16xf32>
  tg.output "y", %y : tensor<8x16xf32>
  return
}

// -----

// Must not fire, each of an x of its own: a factor that is not thin, one that the function changes, a matrix that trains, and rows that are made of what the matrix gives.
// CHECK-NOT: joined
tg.state @wide weight : tensor<8x8xf32>
tg.state @thick weight trainable : tensor<8x4xf32>
tg.state @w weight : tensor<8x8xf32>
tg.state @changed weight trainable : tensor<8x2xf32>
tg.state @trained weight trainable : tensor<8x8xf32>
tg.state @u weight : tensor<8x8xf32>
tg.state @b weight trainable : tensor<8x2xf32>
tg.state @c weight trainable : tensor<8x2xf32>
func.func @micro_main() {
  %x = tg.input "x" : tensor<4x8xf32>
  %x0 = tg.input "x0" : tensor<4x8xf32>
  %x1 = tg.input "x1" : tensor<4x8xf32>
  %x2 = tg.input "x2" : tensor<4x8xf32>
  %h4 = tg.input "h4" : tensor<4x4xf32>
  %h2 = tg.input "h2" : tensor<4x2xf32>
  %w0 = tg.read @wide : tensor<8x8xf32>
  %p0 = tg.dot_general %x0, %w0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b0 = tg.read @thick : tensor<8x4xf32>
  %t0 = tg.dot_general %h4, %b0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x4xf32>, tensor<8x4xf32>) -> tensor<4x8xf32>
  %s0 = tg.add %p0, %t0 : tensor<4x8xf32>
  tg.output "s0", %s0 : tensor<4x8xf32>
  %w1 = tg.read @w : tensor<8x8xf32>
  %p1 = tg.dot_general %x1, %w1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b1 = tg.read @changed : tensor<8x2xf32>
  %t1 = tg.dot_general %h2, %b1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s1 = tg.add %p1, %t1 : tensor<4x8xf32>
  tg.output "s1", %s1 : tensor<4x8xf32>
  %n1 = tg.neg %b1 : tensor<8x2xf32>
  tg.write @changed, %n1 : tensor<8x2xf32>
  %w2 = tg.read @trained : tensor<8x8xf32>
  %p2 = tg.dot_general %x2, %w2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b2 = tg.read @b : tensor<8x2xf32>
  %t2 = tg.dot_general %h2, %b2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s2 = tg.add %p2, %t2 : tensor<4x8xf32>
  tg.output "s2", %s2 : tensor<4x8xf32>
  %w3 = tg.read @u : tensor<8x8xf32>
  %p3 = tg.dot_general %x, %w3 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %h3 = tg.slice %s2 {offsets = array<i64: 0, 0>, sizes = array<i64: 4, 2>, strides = array<i64: 1, 1>} : (tensor<4x8xf32>) -> tensor<4x2xf32>
  %w4 = tg.read @wide : tensor<8x8xf32>
  %p4 = tg.dot_general %x, %w4 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b3 = tg.read @c : tensor<8x2xf32>
  %t4 = tg.dot_general %h3, %b3 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s4 = tg.add %p4, %t4 : tensor<4x8xf32>
  %h5 = tg.slice %s4 {offsets = array<i64: 0, 0>, sizes = array<i64: 4, 2>, strides = array<i64: 1, 1>} : (tensor<4x8xf32>) -> tensor<4x2xf32>
  %t3 = tg.dot_general %h5, %b2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s3 = tg.add %p3, %t3 : tensor<4x8xf32>
  tg.output "s3", %s3 : tensor<4x8xf32>
  return
}

// -----

// Must not fire: what the first matrix gives is written before the second's rows are there, and the state is read in between.
// CHECK-NOT: joined
tg.state @q weight : tensor<8x16xf32>
tg.state @v weight : tensor<8x16xf32>
tg.state @bq weight trainable : tensor<8x2xf32>
tg.state @bv weight trainable : tensor<8x2xf32>
tg.state @kept counter : tensor<4x8xf32>
func.func @micro_main() {
  %x = tg.input "x" : tensor<4x16xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %wq = tg.read @q : tensor<8x16xf32>
  %pq = tg.dot_general %x, %wq {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %rq = tg.read @bq : tensor<8x2xf32>
  %tq = tg.dot_general %h, %rq {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %sq = tg.add %pq, %tq : tensor<4x8xf32>
  tg.write @kept, %sq : tensor<4x8xf32>
  %kept = tg.read @kept : tensor<4x8xf32>
  tg.output "kept", %kept : tensor<4x8xf32>
  %i = tg.input "i" : tensor<4x2xf32>
  %wv = tg.read @v : tensor<8x16xf32>
  %pv = tg.dot_general %x, %wv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %rv = tg.read @bv : tensor<8x2xf32>
  %tv = tg.dot_general %i, %rv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %sv = tg.add %pv, %tv : tensor<4x8xf32>
  tg.output "v", %sv : tensor<4x8xf32>
  return
}
// -----

// Must not fire: factors that are thin each, but together more than a quarter of x.
// CHECK-NOT: joined
tg.state @u weight : tensor<8x8xf32>
tg.state @bu weight trainable : tensor<8x2xf32>
tg.state @v weight : tensor<8x8xf32>
tg.state @bv weight trainable : tensor<8x2xf32>
func.func @micro_main() {
  %x = tg.input "x" : tensor<4x8xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %w0 = tg.read @u : tensor<8x8xf32>
  %p0 = tg.dot_general %x, %w0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b0 = tg.read @bu : tensor<8x2xf32>
  %t0 = tg.dot_general %h, %b0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s0 = tg.add %p0, %t0 : tensor<4x8xf32>
  tg.output "s0", %s0 : tensor<4x8xf32>
  %w1 = tg.read @v : tensor<8x8xf32>
  %p1 = tg.dot_general %x, %w1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b1 = tg.read @bv : tensor<8x2xf32>
  %t1 = tg.dot_general %h, %b1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s1 = tg.add %p1, %t1 : tensor<4x8xf32>
  tg.output "s1", %s1 : tensor<4x8xf32>
  return
}

// -----

// Must not fire: a matrix that something else than a product of rows reads, and one that an initialiser reads.
// CHECK-NOT: joined
tg.state @u weight : tensor<8x8xf32>
tg.state @bu weight trainable : tensor<8x2xf32>
tg.state @v weight : tensor<8x8xf32>
tg.state @bv weight trainable : tensor<8x2xf32>
func.func @init() {
  %w = tg.read @v : tensor<8x8xf32>
  tg.output "w", %w : tensor<8x8xf32>
  return
}
func.func @micro_main() {
  %x = tg.input "x" : tensor<4x8xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %y = tg.input "y" : tensor<4x8xf32>
  %w0 = tg.read @u : tensor<8x8xf32>
  %p0 = tg.dot_general %x, %w0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b0 = tg.read @bu : tensor<8x2xf32>
  %t0 = tg.dot_general %h, %b0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s0 = tg.add %p0, %t0 : tensor<4x8xf32>
  tg.output "s0", %s0 : tensor<4x8xf32>
  %w1 = tg.read @v : tensor<8x8xf32>
  %p1 = tg.dot_general %y, %w1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
  %b1 = tg.read @bv : tensor<8x2xf32>
  %t1 = tg.dot_general %h, %b1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s1 = tg.add %p1, %t1 : tensor<4x8xf32>
  tg.output "s1", %s1 : tensor<4x8xf32>
  %n = tg.neg %w0 : tensor<8x8xf32>
  tg.output "n", %n : tensor<8x8xf32>
  return
}

// -----

// Where functions that train do not agree on what stands beside each other, nothing is joined that it concerns; what it does not concern is.
// CHECK-NOT: joined:{{[tuv]}}
// CHECK: @"joined:s" weight joined
// CHECK-NOT: joined:{{[tuv]}}
tg.state @s weight : tensor<8x16xf32>
tg.state @bs weight trainable : tensor<8x2xf32>
tg.state @t weight : tensor<8x16xf32>
tg.state @bt weight trainable : tensor<8x2xf32>
tg.state @u weight : tensor<8x16xf32>
tg.state @bu weight trainable : tensor<8x2xf32>
tg.state @v weight : tensor<8x16xf32>
tg.state @bv weight trainable : tensor<8x2xf32>
func.func @micro_a() {
  %x = tg.input "x" : tensor<4x16xf32>
  %y = tg.input "y" : tensor<4x16xf32>
  %z = tg.input "z" : tensor<4x16xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %wu = tg.read @u : tensor<8x16xf32>
  %pu = tg.dot_general %x, %wu {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bu = tg.read @bu : tensor<8x2xf32>
  %tu = tg.dot_general %h, %bu {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %su = tg.add %pu, %tu : tensor<4x8xf32>
  tg.output "u", %su : tensor<4x8xf32>
  %wv = tg.read @v : tensor<8x16xf32>
  %pv = tg.dot_general %x, %wv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bv = tg.read @bv : tensor<8x2xf32>
  %tv = tg.dot_general %h, %bv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %sv = tg.add %pv, %tv : tensor<4x8xf32>
  tg.output "v", %sv : tensor<4x8xf32>
  %wt = tg.read @t : tensor<8x16xf32>
  %pt = tg.dot_general %y, %wt {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bt = tg.read @bt : tensor<8x2xf32>
  %tt = tg.dot_general %h, %bt {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %st = tg.add %pt, %tt : tensor<4x8xf32>
  tg.output "t", %st : tensor<4x8xf32>
  %ws = tg.read @s : tensor<8x16xf32>
  %ps = tg.dot_general %z, %ws {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bs = tg.read @bs : tensor<8x2xf32>
  %ts = tg.dot_general %h, %bs {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %ss = tg.add %ps, %ts : tensor<4x8xf32>
  tg.output "s", %ss : tensor<4x8xf32>
  return
}
func.func @micro_b() {
  %x = tg.input "x" : tensor<4x16xf32>
  %y = tg.input "y" : tensor<4x16xf32>
  %z = tg.input "z" : tensor<4x16xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %wt = tg.read @t : tensor<8x16xf32>
  %pt = tg.dot_general %x, %wt {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bt = tg.read @bt : tensor<8x2xf32>
  %tt = tg.dot_general %h, %bt {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %st = tg.add %pt, %tt : tensor<4x8xf32>
  tg.output "t", %st : tensor<4x8xf32>
  %wu = tg.read @u : tensor<8x16xf32>
  %pu = tg.dot_general %x, %wu {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bu = tg.read @bu : tensor<8x2xf32>
  %tu = tg.dot_general %h, %bu {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %su = tg.add %pu, %tu : tensor<4x8xf32>
  tg.output "u", %su : tensor<4x8xf32>
  %wv = tg.read @v : tensor<8x16xf32>
  %pv = tg.dot_general %y, %wv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bv = tg.read @bv : tensor<8x2xf32>
  %tv = tg.dot_general %h, %bv {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %sv = tg.add %pv, %tv : tensor<4x8xf32>
  tg.output "v", %sv : tensor<4x8xf32>
  %ws = tg.read @s : tensor<8x16xf32>
  %ps = tg.dot_general %z, %ws {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %bs = tg.read @bs : tensor<8x2xf32>
  %ts = tg.dot_general %h, %bs {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %ss = tg.add %ps, %ts : tensor<4x8xf32>
  tg.output "s", %ss : tensor<4x8xf32>
  return
}

// -----

// An evaluation with other groups changes nothing of what functions that train have.
// CHECK: @"joined:u" weight joined : tensor<24x8xf32>
// CHECK: @"joined:v" weight joined : tensor<24x8xf32>
// CHECK-LABEL: func.func @micro_small
// CHECK: tg.concat
// CHECK: tg.concat
// CHECK-LABEL: func.func @evaluate_other
// CHECK-NOT: tg.concat
// CHECK: tg.add
tg.state @u weight : tensor<8x16xf32>
tg.state @bu weight trainable : tensor<8x2xf32>
tg.state @v weight : tensor<8x16xf32>
tg.state @bv weight trainable : tensor<8x2xf32>
func.func @micro_small() {
  %x = tg.input "x" : tensor<4x16xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %y = tg.input "y" : tensor<4x16xf32>
  %w0 = tg.read @u : tensor<8x16xf32>
  %p0 = tg.dot_general %x, %w0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %b0 = tg.read @bu : tensor<8x2xf32>
  %t0 = tg.dot_general %h, %b0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s0 = tg.add %p0, %t0 : tensor<4x8xf32>
  tg.output "s0", %s0 : tensor<4x8xf32>
  %w1 = tg.read @v : tensor<8x16xf32>
  %p1 = tg.dot_general %y, %w1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %b1 = tg.read @bv : tensor<8x2xf32>
  %t1 = tg.dot_general %h, %b1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s1 = tg.add %p1, %t1 : tensor<4x8xf32>
  tg.output "s1", %s1 : tensor<4x8xf32>
  return
}
func.func @evaluate_other() {
  %x = tg.input "x" : tensor<4x16xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %w0 = tg.read @u : tensor<8x16xf32>
  %p0 = tg.dot_general %x, %w0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %b0 = tg.read @bu : tensor<8x2xf32>
  %t0 = tg.dot_general %h, %b0 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s0 = tg.add %p0, %t0 : tensor<4x8xf32>
  tg.output "s0", %s0 : tensor<4x8xf32>
  %w1 = tg.read @v : tensor<8x16xf32>
  %p1 = tg.dot_general %x, %w1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %b1 = tg.read @bv : tensor<8x2xf32>
  %t1 = tg.dot_general %h, %b1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s1 = tg.add %p1, %t1 : tensor<4x8xf32>
  tg.output "s1", %s1 : tensor<4x8xf32>
  return
}

// -----

// Must not fire: what is added to the thin product is whole numbers of the other.
// CHECK-LABEL: func.func @micro_whole
// CHECK-NOT: tg.concat
// CHECK: tg.add
tg.state @w weight : tensor<8x16xf32>
tg.state @b weight trainable : tensor<8x2xf32>
func.func @micro_whole() {
  %x = tg.input "x" : tensor<4x16xf32>
  %h = tg.input "h" : tensor<4x2xf32>
  %w = tg.read @w : tensor<8x16xf32>
  %p = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x16xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
  %i = tg.cast %p : tensor<4x8xf32> -> tensor<4x8xi32>
  %f = tg.cast %i : tensor<4x8xi32> -> tensor<4x8xf32>
  %b = tg.read @b : tensor<8x2xf32>
  %t = tg.dot_general %h, %b {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x2xf32>, tensor<8x2xf32>) -> tensor<4x8xf32>
  %s = tg.add %f, %t : tensor<4x8xf32>
  tg.output "s", %s : tensor<4x8xf32>
  return
}
