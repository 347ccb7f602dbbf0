// RUN: vcc-opt %s --cuda-plan-grids | FileCheck %s

tg.kernel @scale(%x: tensor<f32>, %s: tensor<f32>, %u: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>,
    columns = 1 : i64, params = [#tg.param<scalar>, #tg.param<scalar>, #tg.param<uniform>], results = [#tg.result<scalar>]} {
  %p = tg.mul %x, %s : tensor<f32>
  %y = tg.mul %p, %u : tensor<f32>
  tg.yield %y : tensor<f32>
}
tg.kernel @columns(%x: tensor<64xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 64 : i64,
    params = [#tg.param<row>], results = [#tg.result<column_sum>]} {
  tg.yield %x : tensor<64xf32>
}
tg.kernel @lookup(%id: tensor<i32>, %row: tensor<64xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 64 : i64,
    params = [#tg.param<scalar>, #tg.param<indexed index(0)>], results = [#tg.result<row>]} {
  tg.yield %row : tensor<64xf32>
}
tg.kernel @noise(%word: tensor<i32>, %x: tensor<64xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 64 : i64,
    params = [#tg.param<scalar>, #tg.param<row>], results = [#tg.result<row>]} {
  %words = tg.broadcast %word {axes = array<i64>} : (tensor<i32>) -> tensor<64xi32>
  %column = tg.iota : tensor<64xi32>
  %u = tg.draw_uniform key(%words, %words) counter(%column, %words, %words, %words) : tensor<64xi32> -> tensor<64xf32>
  %y = tg.mul %x, %u : tensor<64xf32>
  tg.yield %y : tensor<64xf32>
}
tg.kernel @apart(%x: tensor<16xf32>) attributes {kernel_class = #tg.kernel_class<row>, columns = 16 : i64,
    params = [#tg.param<row stride(64)>], results = [#tg.result<scalar>]} {
  %y = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<16xf32>) -> tensor<f32>
  tg.yield %y : tensor<f32>
}
exec.module @m sizes {weights = 0, state = 0, arena = 1048576, io = 0, constant = 0} {
  exec.buffer @x arena at 0 size 262144 : tensor<65536xf32> why "test"
  exec.buffer @s arena at 262144 size 4096 : tensor<1024xf32> why "test"
  exec.buffer @ids arena at 266240 size 4096 : tensor<1024xi32> why "test"
  exec.buffer @y arena at 524288 size 262144 : tensor<65536xf32> why "test"
  exec.function @f {
    // Two dimensions that every operand steps through as one become one; 4000 elements are four blocks of 256 threads with four each.
    // CHECK: exec.launch_grid "scale_r1v4_ufu" number 0 reads [@x, @s] writes [@y] offsets [0, 3, 64] words [4000, 1073741824] blocks 4 forward "merged"
    exec.launch @scale reads [@x, @s] writes [@y] dims [16, 250] access [#tg.access<0, [250, 1]>, #tg.access<3, [0, 0]>,
        #tg.access<64, [250, 1]>] uniforms [1073741824] units 4000 forward "merged" flops 0 bytes 0
    // A factor along the inner dimension keeps them apart. The size of the outer one is not needed, nor a stride of one.
    // CHECK: exec.launch_grid "scale_r2v4_uuu" number 1 {{.*}} words [4096, 256, 256, 0, 256, 1073741824] blocks 4
    exec.launch @scale reads [@x, @s] writes [@y] dims [16, 256] access [#tg.access<0, [256, 1]>, #tg.access<0, [0, 1]>,
        #tg.access<0, [256, 1]>] uniforms [1073741824] units 4096 forward "apart" flops 0 bytes 0
    // Beside a multiple of 16 bytes there are no vectors, in rows of an odd length neither. Equal walks are equal kernels.
    // CHECK: exec.launch_grid "scale_r1v1_ufu" number 2 {{.*}} offsets [1, 0, 0] words [4000, 0] blocks 16
    exec.launch @scale reads [@x, @s] writes [@y] dims [4000] access [#tg.access<1, [1]>, #tg.access<0, [0]>, #tg.access<0, [1]>]
        uniforms [0] units 4000 forward "beside" flops 0 bytes 0
    // CHECK: exec.launch_grid "scale_r1v4_ufu" number 0 {{.*}} words [8, 0] blocks 1
    exec.launch @scale reads [@x, @s] writes [@y] dims [8] access [#tg.access<0, [1]>, #tg.access<0, [0]>, #tg.access<0, [1]>]
        uniforms [0] units 8 forward "again" flops 0 bytes 0
    // A block for each chunk of rows; the rows of a chunk come last.
    // CHECK: exec.launch_grid "columns_r1v4_af" number 3 {{.*}} words [1024, 64, 64] blocks 16
    exec.launch @columns reads [@x] writes [@y] dims [1024] access [#tg.access<0, [64]>, #tg.access<0, []>] chunk 64 units 16
        forward "sums" flops 0 bytes 0
    // Of a table the stride of its rows and their number. Four threads a row, 32 rows in a block.
    // CHECK: exec.launch_grid "lookup_r1v4_afa" number 4 {{.*}} words [100, 1, 64, 1024, 64] blocks 4
    exec.launch @lookup reads [@ids, @x] writes [@y] dims [100] access [#tg.access<0, [1]>, #tg.access<0, [0, 64, 1024]>,
        #tg.access<0, [64]>] units 100 forward "table" flops 0 bytes 0
    // Much work for each element: twice the threads, half the rows in a block.
    // CHECK: exec.launch_grid "noise_r1v4_aaa" number 5 {{.*}} words [100, 1, 64, 64] blocks 7
    exec.launch @noise reads [@ids, @x] writes [@y] dims [100] access [#tg.access<0, [1]>, #tg.access<0, [64]>,
        #tg.access<0, [64]>] units 100 forward "noise" flops 0 bytes 0
    // The columns of a row lie apart and rows beside each other: neighbouring threads have neighbouring rows.
    // CHECK: exec.launch_grid "apart_r2v1_aa" number 6 {{.*}} words [1024, 64, 1024, 1, 64, 1] blocks 8
    exec.launch @apart reads [@x] writes [@s] dims [16, 64] access [#tg.access<0, [1024, 1]>, #tg.access<0, [64, 1]>] units 1024
        forward "apart" flops 0 bytes 0
  }
}
