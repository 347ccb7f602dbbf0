// RUN: vcc-opt %s --cuda-lower-kernels --split-input-file | FileCheck %s
// RUN: vcc-opt %s --cuda-lower-kernels --split-input-file | FileCheck %s --check-prefix=SUMS

// Addresses and numbers are all that a kernel takes. Eight neighbours are one access of 16 bytes of the halves, two of the floats;
// the last ones are done one by one.
// CHECK: gpu.module @kernels
// CHECK: gpu.func @flat_r1v8_uuu(%[[X:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[N:.*]]: i64) kernel
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xbf16>
// CHECK: llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xf32>
// CHECK: arith.mulf {{.*}} : vector<8xf32>
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<8xbf16>
// CHECK: scf.for
// CHECK: llvm.store {{.*}} {alignment = 2 : i64} : bf16
// CHECK: gpu.return
// The same kernel where an operand begins between two accesses, and where another does not move: other code, other names.
// CHECK: gpu.func @flat_r1v1_uuu(
// CHECK-NOT: vector<
// CHECK: gpu.func @flat_r1v8_ufu(
// CHECK: llvm.load %{{[a-z0-9]+}} {alignment = 4 : i64} : !llvm.ptr<1> -> f32
tg.kernel @flat(%x: tensor<bf16>, %w: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>, #tg.param<scalar>], results = [#tg.result<scalar>]} {
  %f = tg.cast %x : tensor<bf16> -> tensor<f32>
  %p = tg.mul %f, %w : tensor<f32>
  %y = tg.cast %p : tensor<f32> -> tensor<bf16>
  tg.yield %y : tensor<bf16>
}
exec.module @m sizes {weights = 0, state = 0, arena = 65536, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 8192 : tensor<4096xbf16> why "test"
  exec.buffer @w arena at 8192 size 16384 : tensor<4096xf32> why "test"
  exec.buffer @y arena at 32768 size 8192 : tensor<4096xbf16> why "test"
  exec.function @f {
    exec.launch @flat reads [@x, @w] writes [@y] dims [4096] access [#tg.access<0, [1]>, #tg.access<0, [1]>,
        #tg.access<0, [1]>] units 4096 forward "a" flops 0 bytes 0
    // The same numbers in two dimensions that step as one.
    exec.launch @flat reads [@x, @w] writes [@y] dims [16, 256] access [#tg.access<0, [256, 1]>, #tg.access<0, [256, 1]>,
        #tg.access<0, [256, 1]>] units 4096 forward "a" flops 0 bytes 0
    exec.launch @flat reads [@x, @w] writes [@y] dims [4000] access [#tg.access<3, [1]>, #tg.access<0, [1]>,
        #tg.access<0, [1]>] units 4000 forward "a" flops 0 bytes 0
    exec.launch @flat reads [@x, @w] writes [@y] dims [4096] access [#tg.access<0, [1]>, #tg.access<0, [0]>,
        #tg.access<0, [1]>] units 4096 forward "a" flops 0 bytes 0
  }
}

// -----

// 96 columns are 24 vectors for 8 threads: three each, four rows in a warp, a tree of three shuffles, nothing through memory.
// CHECK-LABEL: gpu.func @norm_r1v4_aa(
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// CHECK-NOT: workgroup
// CHECK-COUNT-3: llvm.load {{.*}} -> vector<4xf32>
// CHECK-COUNT-3: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return
tg.kernel @norm(%x: tensor<96xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 96 : i64,
    params = [#tg.param<row>], results = [#tg.result<row>]} {
  %xx = tg.mul %x, %x : tensor<96xf32>
  %s = tg.reduce %xx {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<96xf32>) -> tensor<f32>
  %r = tg.rsqrt %s : tensor<f32>
  %b = tg.broadcast %r {axes = array<i64>} : (tensor<f32>) -> tensor<96xf32>
  %y = tg.mul %x, %b : tensor<96xf32>
  tg.yield %y : tensor<96xf32>
}
// A row of 4096 columns has a block: 256 threads with four vectors each, a tree in each warp and one over the warps.
// CHECK-LABEL: gpu.func @long_r1v4_aa(
// CHECK-SAME: workgroup(%{{.*}} : memref<8xf32, #gpu.address_space<workgroup>> {llvm.align = 16 : i64})
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: memref.store
// CHECK: gpu.barrier
// CHECK: memref.load
// CHECK-COUNT-3: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.return
tg.kernel @long(%x: tensor<4096xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 4096 : i64,
    params = [#tg.param<row>], results = [#tg.result<scalar>]} {
  %s = tg.reduce %x {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<4096xf32>) -> tensor<f32>
  tg.yield %s : tensor<f32>
}
exec.module @m sizes {weights = 0, state = 0, arena = 1048576, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 262144 : tensor<65536xf32> why "test"
  exec.buffer @y arena at 524288 size 262144 : tensor<65536xf32> why "test"
  exec.function @f {
    exec.launch @norm reads [@x] writes [@y] dims [16] access [#tg.access<0, [96]>, #tg.access<0, [96]>] units 16
        forward "a" flops 0 bytes 0
    exec.launch @long reads [@x] writes [@y] dims [16] access [#tg.access<0, [4096]>, #tg.access<0, [1]>] units 16
        forward "a" flops 0 bytes 0
  }
}

// -----

// Sums over rows: a block goes through a chunk of rows and writes its partial; no atomic operation anywhere.
// SUMS-LABEL: gpu.func @columns_r1v4_af(
// SUMS-SAME: %[[X:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[ROWS:.*]]: i64, %[[STRIDE:.*]]: i64, %[[CHUNK:.*]]: i64)
// SUMS-NOT: atomic
// SUMS: %[[B:.*]] = gpu.block_id x
// SUMS: scf.for {{.*}} -> (vector<4xf32>, vector<4xf32>, vector<4xf32>, vector<4xf32>)
// SUMS: gpu.barrier
// SUMS-NOT: atomic
// SUMS: llvm.store {{.*}} {alignment = 16 : i64} : vector<4xf32>
// SUMS: gpu.return
tg.kernel @columns(%x: tensor<64xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 64 : i64,
    params = [#tg.param<row>], results = [#tg.result<column_sum>]} {
  tg.yield %x : tensor<64xf32>
}
exec.module @m sizes {weights = 0, state = 0, arena = 1048576, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 262144 : tensor<1024x64xf32> why "test"
  exec.buffer @y arena at 524288 size 4096 : tensor<16x64xf32> why "test"
  exec.function @f {
    exec.launch @columns reads [@x] writes [@y] dims [1024] access [#tg.access<0, [64]>, #tg.access<0, []>] chunk 64 units 16
        forward "a" flops 0 bytes 0
  }
}
