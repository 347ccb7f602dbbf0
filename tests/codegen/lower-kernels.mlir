// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v4 | FileCheck %s --check-prefixes=CHECK,V4
// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,V3
// RUN: vcc-opt %s --cpu-lower-kernels=cpu=x86-64-v2 | FileCheck %s --check-prefixes=CHECK,V2
// RUN: not vcc-opt %s --cpu-lower-kernels=cpu=z80 2>&1 | FileCheck %s --check-prefix=WRONG

// WRONG: unknown CPU `z80`: one of native, x86-64-v2, x86-64-v3, x86-64-v4

// A row of 40 columns is unrolled: no loop over columns, and on 16 lanes a tail of 8. One pass over memory for two reductions.
// CHECK-LABEL: llvm.func @row_softmax(
// CHECK-SAME: !llvm.ptr {{.*}}, %{{.*}}: !llvm.ptr {{.*}}, %{{.*}}: i64, %{{.*}}: i64)
// V4-COUNT-2: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<16xf32>
// V4: llvm.intr.masked.load {{.*}} vector<16xf32>
// V4-NOT: llvm.load {{.*}} -> vector
// V3-COUNT-5: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
// V3-NOT: llvm.load {{.*}} -> vector
// CHECK: llvm.return
tg.kernel @row_softmax(%x: tensor<40xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 40 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  %y = tg.softmax %x : tensor<40xf32>
  tg.yield %y : tensor<40xf32>
}

// The exponential of a long row is computed once: kept on the stack between the phases.
// CHECK-LABEL: llvm.func @row_long(
// CHECK: llvm.alloca %{{.*}} x f32 {alignment = 64 : i64}
// CHECK: llvm.return
tg.kernel @row_long(%x: tensor<4000xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4000 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  %e = tg.exp %x : tensor<4000xf32>
  %s = tg.reduce %e {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<4000xf32>) -> tensor<f32>
  %b = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<4000xf32>
  %y = tg.div %e, %b : tensor<4000xf32>
  tg.yield %y : tensor<4000xf32>
}

// A flat kernel has a contiguous and a gathered version. Without fused multiply-add the polynomial has none.
// CHECK-LABEL: llvm.func @flat_tanh(
// V4: math.fma {{.*}} : vector<16xf32>
// V3: math.fma {{.*}} : vector<8xf32>
// V2-NOT: math.fma
// CHECK: llvm.intr.masked.gather
// CHECK: llvm.return
tg.kernel @flat_tanh(%x: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  %y = tg.tanh %x : tensor<f32>
  tg.yield %y : tensor<f32>
}

// A sum over rows of many columns is zeroed and added in loops, whose text does not grow with the columns: one vector of zeros, four
// of sums, and the two whole vectors that are left.
// CHECK-LABEL: llvm.func @row_wide(
// V4-COUNT-7: llvm.store {{.*}} vector<16xf32>
// V4-NOT: llvm.store {{.*}} vector<16xf32>
// CHECK: llvm.return
tg.kernel @row_wide(%x: tensor<100003xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 100003 : i64,
    params = [#tg.param<row>], results = [#tg.result<column_sum>]} {
  tg.yield %x : tensor<100003xf32>
}

// Patches of a picture, rows of 16 that are moved as they are: a row is loaded and stored as a vector, never gathered and scattered.
// CHECK-LABEL: llvm.func @row_patches(
// CHECK-NOT: masked
// V4: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<16xf32>
// V4: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : vector<16xf32>, !llvm.ptr
// CHECK: llvm.return
tg.kernel @row_patches(%x: tensor<16xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 16 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  tg.yield %x : tensor<16xf32>
}

// CHECK-NOT: tg.
