// RUN: vcc-opt %s --tg-fuse --split-input-file | FileCheck %s

// Residual addition, root-mean-square norm and its weight are one kernel with two results.
// CHECK-LABEL: module @norm
// CHECK: tg.kernel @[[K:row_.*]](
// CHECK-SAME: columns = 8 : i64
// CHECK-SAME: params = [#tg.param<row>, #tg.param<row>, #tg.param<uniform>, #tg.param<row>], results = [#tg.result<row>, #tg.result<row>]
// CHECK-NOT: tg.kernel @
// CHECK: func.func @f
// CHECK: tg.launch @[[K]]
// CHECK-SAME: dims = array<i64: 6>, uniforms = [1.250000e-01 : f32]
// CHECK-NOT: tg.launch
module @norm {
  tg.state @w weight : tensor<8xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<2x3x8xf32>
    %y = tg.input "y" : tensor<2x3x8xf32>
    %h = tg.add %x, %y : tensor<2x3x8xf32>
    %hh = tg.mul %h, %h : tensor<2x3x8xf32>
    %s = tg.reduce %hh {kind = #tg.reduce_kind<sum>, axes = array<i64: 2>} : (tensor<2x3x8xf32>) -> tensor<2x3xf32>
    %c = tg.constant dense<0.125> : tensor<2x3xf32>
    %m = tg.mul %s, %c : tensor<2x3xf32>
    %r = tg.rsqrt %m : tensor<2x3xf32>
    %rb = tg.broadcast %r {axes = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<2x3x8xf32>
    %n = tg.mul %h, %rb : tensor<2x3x8xf32>
    %w = tg.read @w : tensor<8xf32>
    %wb = tg.broadcast %w {axes = array<i64: 2>} : (tensor<8xf32>) -> tensor<2x3x8xf32>
    %o = tg.mul %n, %wb : tensor<2x3x8xf32>
    tg.output "h", %h : tensor<2x3x8xf32>
    tg.output "o", %o : tensor<2x3x8xf32>
    return
  }
}

// -----

// Two dropouts of other rates, sites and numbers of rows are one kernel: all three are uniforms.
// CHECK-LABEL: module @dropout
// CHECK: tg.kernel @[[K:.*]](
// CHECK-NOT: tg.kernel @
// CHECK: tg.launch @[[K]]
// CHECK: tg.launch @[[K]]
module @dropout {
  func.func @f() {
    %rng = tg.input "rng" : tensor<4xi32>
    %x = tg.input "x" : tensor<2x3x8xf32>
    %z = tg.input "z" : tensor<4x8xf32>
    %u = tg.random_uniform %rng {site = #tg.site<"a.drop">} : (tensor<4xi32>) -> tensor<2x3x8xf32>
    %p = tg.constant dense<0.1> : tensor<2x3x8xf32>
    %k = tg.compare %u, %p {predicate = #tg.predicate<ge>} : tensor<2x3x8xf32>
    %0 = tg.constant dense<0.0> : tensor<2x3x8xf32>
    %y = tg.select %k, %x, %0 : tensor<2x3x8xi1>, tensor<2x3x8xf32>
    tg.output "y", %y : tensor<2x3x8xf32>
    %u1 = tg.random_uniform %rng {site = #tg.site<"b.drop">} : (tensor<4xi32>) -> tensor<4x8xf32>
    %p1 = tg.constant dense<0.2> : tensor<4x8xf32>
    %k1 = tg.compare %u1, %p1 {predicate = #tg.predicate<ge>} : tensor<4x8xf32>
    %01 = tg.constant dense<0.0> : tensor<4x8xf32>
    %y1 = tg.select %k1, %z, %01 : tensor<4x8xi1>, tensor<4x8xf32>
    tg.output "y1", %y1 : tensor<4x8xf32>
    return
  }
}

// -----

// Must not fire: kernels of other row lengths stay apart.
// CHECK-LABEL: module @keeps_columns
// CHECK-COUNT-2: tg.kernel @
module @keeps_columns {
  func.func @f() {
    %x = tg.input "x" : tensor<4x8xf32>
    %z = tg.input "z" : tensor<4x4xf32>
    %y = tg.softmax %x : tensor<4x8xf32>
    %y1 = tg.softmax %z : tensor<4x4xf32>
    tg.output "y", %y : tensor<4x8xf32>
    tg.output "y1", %y1 : tensor<4x4xf32>
    return
  }
}

// -----

// The derivative of the first kernel's function is computed where the backward uses it, from the result that is there
// anyway; the first kernel writes one result.
// CHECK-LABEL: module @derivative
// CHECK: func.func @f
// CHECK: %[[G:.*]] = tg.gemm
// CHECK: %[[F:.*]] = tg.launch @{{.*}}(%[[G]])
// CHECK: %[[D:.*]] = tg.gemm
// CHECK: tg.launch @{{.*}}(%[[F]], %[[D]])
module @derivative {
  func.func @f() {
    %x = tg.input "x" : tensor<4x8xf32>
    %w = tg.input "w" : tensor<8x8xf32>
    %g = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %s = tg.sigmoid %g : tensor<4x8xf32>
    %1 = tg.constant dense<1.0> : tensor<4x8xf32>
    %m = tg.sub %1, %s : tensor<4x8xf32>
    %ds = tg.mul %s, %m : tensor<4x8xf32>
    %d = tg.dot_general %s, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %dg = tg.mul %ds, %d : tensor<4x8xf32>
    tg.output "dg", %dg : tensor<4x8xf32>
    return
  }
}

// -----

// The rows of a gather are read by index, the sum over rows is a by-product of the same kernel.
// CHECK-LABEL: module @gather
// CHECK: params = [#tg.param<scalar>, #tg.param<indexed index(0)>], results = [#tg.result<row>, #tg.result<column_sum>]
// CHECK-NOT: tg.kernel @
module @gather {
  tg.state @table weight : tensor<16x8xf32>
  func.func @f() {
    %ids = tg.input "ids" : tensor<4xi32>
    %t = tg.read @table : tensor<16x8xf32>
    %e = tg.gather %t, %ids : (tensor<16x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
    %y = tg.exp %e : tensor<4x8xf32>
    %s = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<4x8xf32>) -> tensor<8xf32>
    tg.output "y", %y : tensor<4x8xf32>
    tg.output "s", %s : tensor<8xf32>
    return
  }
}

// -----

// A large sum is taken in partial sums, which a second launch adds up.
// CHECK-LABEL: module @partials
// CHECK: tg.launch
// CHECK-SAME: rows_per_chunk = 64 : i64
// CHECK-SAME: -> tensor<64x8xf32>
// CHECK: tg.launch
// CHECK-SAME: (tensor<64x8xf32>) -> tensor<8xf32>
module @partials {
  func.func @f() {
    %x = tg.input "x" : tensor<4096x8xf32>
    %y = tg.mul %x, %x : tensor<4096x8xf32>
    %s = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<4096x8xf32>) -> tensor<8xf32>
    tg.output "s", %s : tensor<8xf32>
    return
  }
}

// -----

// What a product of the backward reads again is given back by the kernel of the backward that reads what it was made of:
// the product of the hidden values waits for the gradient of the activation, and the forward's values are not kept.
// CHECK-LABEL: module @given_back
// CHECK: %[[H:.*]] = tg.gemm
// CHECK: %[[G:.*]] = tg.launch @{{.*}}(%[[H]])
// CHECK: tg.gemm %[[G]]
// CHECK: tg.loss
// CHECK: %[[B:.*]]:2 = tg.launch @{{.*}}({{.*}}%[[H]]
// CHECK-NOT: %[[G]]
// CHECK: tg.gemm {{.*}}%[[B]]#
module @given_back {
  tg.state @w weight : tensor<16x16xf32>
  tg.state @gradient gradient : tensor<16x16xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<64x16xf32>
    %w = tg.read @w : tensor<16x16xf32>
    %h = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %g = tg.tanh %h : tensor<64x16xf32>
    %a = tg.dot_general %g, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %b = tg.dot_general %a, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %c = tg.dot_general %b, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %d = tg.dot_general %c, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %e = tg.dot_general %d, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %loss = tg.reduce %e {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1>} : (tensor<64x16xf32>) -> tensor<f32>
    tg.loss %loss : tensor<f32>
    %1 = tg.dot_general %e, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %2 = tg.dot_general %1, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %3 = tg.dot_general %2, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %4 = tg.dot_general %3, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %5 = tg.dot_general %4, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %6 = tg.dot_general %5, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %7 = tg.dot_general %6, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %dw = tg.dot_general %g, %7 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<64x16xf32>) -> tensor<16x16xf32>
    tg.write @gradient, %dw : tensor<16x16xf32>
    %t = tg.sin %h : tensor<64x16xf32>
    %dh = tg.mul %7, %t : tensor<64x16xf32>
    tg.output "dh", %dh : tensor<64x16xf32>
    return
  }
}

// -----

// The same where the value stands behind all else of the kernel that gives it back: what it is made of is made there too.
// CHECK-LABEL: module @given_back_last {
// CHECK: %[[H:.*]] = tg.gemm
// CHECK: %[[G:.*]] = tg.launch @{{.*}}(%[[H]])
// CHECK: tg.gemm %[[G]]
// CHECK: tg.loss
// CHECK: %[[B:.*]]:2 = tg.launch @{{.*}}({{.*}}%[[H]]
// CHECK-NOT: %[[G]]
// CHECK: tg.gemm {{.*}}%[[B]]#
module @given_back_last {
  tg.state @w weight : tensor<16x16xf32>
  tg.state @gradient gradient : tensor<16x16xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<64x16xf32>
    %w = tg.read @w : tensor<16x16xf32>
    %h = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %y = tg.exp %h : tensor<64x16xf32>
    %a = tg.dot_general %y, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %b = tg.dot_general %a, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %c = tg.dot_general %b, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %d = tg.dot_general %c, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %e = tg.dot_general %d, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %loss = tg.reduce %e {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1>} : (tensor<64x16xf32>) -> tensor<f32>
    tg.loss %loss : tensor<f32>
    %1 = tg.dot_general %e, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %2 = tg.dot_general %1, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %3 = tg.dot_general %2, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %4 = tg.dot_general %3, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %5 = tg.dot_general %4, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %6 = tg.dot_general %5, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %7 = tg.dot_general %6, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %t = tg.sin %h : tensor<64x16xf32>
    %dh = tg.mul %7, %t : tensor<64x16xf32>
    tg.output "dh", %dh : tensor<64x16xf32>
    %s = tg.mul %h, %h : tensor<64x16xf32>
    %g = tg.tanh %s : tensor<64x16xf32>
    %dw = tg.dot_general %g, %7 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<64x16xf32>) -> tensor<16x16xf32>
    tg.write @gradient, %dw : tensor<16x16xf32>
    return
  }
}

// -----

// Must not fire: the only kernel that could give the values back waits for the product that reads them.
// CHECK-LABEL: module @kept {
// CHECK: %[[H:.*]] = tg.gemm
// CHECK: %[[G:.*]] = tg.launch @{{.*}}(%[[H]])
// CHECK: tg.loss
// CHECK: %[[L:.*]] = tg.gemm %[[G]]
// CHECK: %[[B:.*]] = tg.launch @{{.*}}(%[[H]], %[[L]])
// CHECK: tg.output "dh", %[[B]]
module @kept {
  tg.state @w weight : tensor<16x16xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<64x16xf32>
    %w = tg.read @w : tensor<16x16xf32>
    %h = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %g = tg.tanh %h : tensor<64x16xf32>
    %a = tg.dot_general %g, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %b = tg.dot_general %a, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %c = tg.dot_general %b, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %d = tg.dot_general %c, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %e = tg.dot_general %d, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %loss = tg.reduce %e {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1>} : (tensor<64x16xf32>) -> tensor<f32>
    tg.loss %loss : tensor<f32>
    %1 = tg.dot_general %e, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %2 = tg.dot_general %1, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %3 = tg.dot_general %2, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %4 = tg.dot_general %3, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %5 = tg.dot_general %4, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %6 = tg.dot_general %5, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %7 = tg.dot_general %6, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %dw = tg.dot_general %x, %7 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<64x16xf32>) -> tensor<16x16xf32>
    %late = tg.dot_general %g, %dw {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %t = tg.sin %h : tensor<64x16xf32>
    %dh = tg.mul %late, %t : tensor<64x16xf32>
    tg.output "dh", %dh : tensor<64x16xf32>
    return
  }
}

// -----

// The moments' kernel waits for the rate, which another kernel makes meanwhile, so that the weights' part joins it; what reads
// its sum waits too.
// CHECK-LABEL: module @update
// CHECK: func.func @f
// CHECK-COUNT-3: tg.launch
// CHECK-NOT: tg.launch
module @update {
  tg.state @w weight : tensor<96xf32>
  tg.state @m moment : tensor<96xf32>
  tg.state @g gradient : tensor<96xf32>
  func.func @f() {
    %step = tg.input "step.index" : tensor<f32>
    %rate = tg.exp %step : tensor<f32>
    %g = tg.read @g : tensor<96xf32>
    %m = tg.read @m : tensor<96xf32>
    %w = tg.read @w : tensor<96xf32>
    %squares = tg.mul %g, %g : tensor<96xf32>
    %norm = tg.reduce %squares {axes = array<i64: 0>, kind = #tg.reduce_kind<sum>} : (tensor<96xf32>) -> tensor<f32>
    %root = tg.sqrt %norm : tensor<f32>
    tg.output "norm", %root : tensor<f32>
    %moment = tg.add %m, %g : tensor<96xf32>
    %rates = tg.broadcast %rate {axes = array<i64>} : (tensor<f32>) -> tensor<96xf32>
    %move = tg.mul %moment, %rates : tensor<96xf32>
    %new = tg.sub %w, %move : tensor<96xf32>
    tg.write @m, %moment : tensor<96xf32>
    tg.write @w, %new : tensor<96xf32>
    return
  }
}

// -----

// Rows minus their mean are kept, since what they are made of would be read in twice the bytes; the norm's result, which the backward
// reads beside them, is made of them again.
// CHECK-LABEL: module @near
// CHECK: %[[N:.*]]:3 = tg.launch {{.*}} -> (tensor<64x16xf32>, tensor<64xf32>, tensor<64x16xf32>)
// CHECK: tg.gemm %[[N]]#2
// CHECK-NOT: %[[N]]#2
// CHECK: tg.launch @{{.*}}%[[N]]#0, %[[N]]#1
// CHECK-NOT: %[[N]]#2
module @near {
  tg.state @w weight : tensor<16x16xf32>
  func.func @f() {
    %x = tg.input "x" : tensor<64x16xf32>
    %w = tg.read @w : tensor<16x16xf32>
    %a = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %b = tg.dot_general %x, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 1>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %h = tg.mul %a, %b : tensor<64x16xf32>
    %m = tg.reduce %h {kind = #tg.reduce_kind<sum>, axes = array<i64: 1>} : (tensor<64x16xf32>) -> tensor<64xf32>
    %mb = tg.broadcast %m {axes = array<i64: 0>} : (tensor<64xf32>) -> tensor<64x16xf32>
    %c = tg.sub %h, %mb : tensor<64x16xf32>
    %q = tg.mul %c, %c : tensor<64x16xf32>
    %v = tg.reduce %q {kind = #tg.reduce_kind<sum>, axes = array<i64: 1>} : (tensor<64x16xf32>) -> tensor<64xf32>
    %r = tg.rsqrt %v : tensor<64xf32>
    %rb = tg.broadcast %r {axes = array<i64: 0>} : (tensor<64xf32>) -> tensor<64x16xf32>
    %n = tg.mul %c, %rb : tensor<64x16xf32>
    %y = tg.dot_general %n, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<64x16xf32>, tensor<16x16xf32>) -> tensor<64x16xf32>
    %loss = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1>} : (tensor<64x16xf32>) -> tensor<f32>
    tg.loss %loss : tensor<f32>
    %z = tg.mul %y, %n : tensor<64x16xf32>
    %zc = tg.add %z, %c : tensor<64x16xf32>
    tg.output "z", %zc : tensor<64x16xf32>
    return
  }
}
