// RUN: vcc-opt %s | vcc-opt | FileCheck %s

// A row kernel with every kind of parameter and result.
// CHECK: tg.kernel @row(%{{.*}}: tensor<8xf32>, %{{.*}}: tensor<i32>, %{{.*}}: tensor<8xf32>, %{{.*}}: tensor<f32>) attributes
// CHECK-SAME: columns = 8 : i64
// CHECK-SAME: kernel_class = #tg.kernel_class<row>
// CHECK-SAME: params = [#tg.param<row stride(2)>, #tg.param<scalar>, #tg.param<indexed index(1)>, #tg.param<uniform>]
// CHECK-SAME: results = [#tg.result<row>, #tg.result<scalar>, #tg.result<column_sum>, #tg.result<total_sum>]
tg.kernel @row(%x: tensor<8xf32>, %i: tensor<i32>, %t: tensor<8xf32>, %u: tensor<f32>) attributes {
    kernel_class = #tg.kernel_class<row>, columns = 8 : i64,
    params = [#tg.param<row stride(2)>, #tg.param<scalar>, #tg.param<indexed index(1)>, #tg.param<uniform>],
    results = [#tg.result<row>, #tg.result<scalar>, #tg.result<column_sum>, #tg.result<total_sum>]} {
  // CHECK: tg.row_index : tensor<i32>
  %n = tg.row_index : tensor<i32>
  %b = tg.broadcast %u {axes = array<i64>} : (tensor<f32>) -> tensor<8xf32>
  %y = tg.mul %x, %b : tensor<8xf32>
  %z = tg.add %y, %t : tensor<8xf32>
  %s = tg.reduce %z {axes = array<i64: 0>, kind = #tg.reduce_kind<max>} : (tensor<8xf32>) -> tensor<f32>
  // CHECK: tg.yield %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : tensor<8xf32>, tensor<f32>, tensor<8xf32>, tensor<f32>
  tg.yield %z, %s, %z, %s : tensor<8xf32>, tensor<f32>, tensor<8xf32>, tensor<f32>
}

// CHECK: tg.kernel @flat(%{{.*}}: tensor<f32>) attributes
tg.kernel @flat(%x: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  %y = tg.exp %x : tensor<f32>
  tg.yield %y : tensor<f32>
}

// CHECK-LABEL: func.func @launches
func.func @launches(%x: tensor<3x16xf32>, %i: tensor<3xi32>, %t: tensor<5x8xf32>) {
  // CHECK: tg.launch @row(%{{.*}}, %{{.*}}, %{{.*}}) {access = [#tg.access<1, [16]>, #tg.access<0, [1]>, #tg.access<0, [0, 8]>,
  // CHECK-SAME: #tg.access<0, []>]
  // CHECK-SAME: dims = array<i64: 3>
  // CHECK-SAME: rows_per_chunk = 2 : i64
  // CHECK-SAME: uniforms = [5.000000e-01 : f32]
  %0:4 = tg.launch @row(%x, %i, %t) {dims = array<i64: 3>, uniforms = [0.5 : f32], rows_per_chunk = 2 : i64,
      access = [#tg.access<1, [16]>, #tg.access<0, [1]>, #tg.access<0, [0, 8]>, #tg.access<0, [8]>, #tg.access<0, [1]>,
                #tg.access<0, []>, #tg.access<0, []>]}
      : (tensor<3x16xf32>, tensor<3xi32>, tensor<5x8xf32>) -> (tensor<3x8xf32>, tensor<3xf32>, tensor<2x8xf32>, tensor<2xf32>)
  // CHECK: tg.launch @flat(%{{.*}}) {access
  %1 = tg.launch @flat(%x) {dims = array<i64: 3, 16>, access = [#tg.access<0, [16, 1]>, #tg.access<0, [1, 3]>]}
      : (tensor<3x16xf32>) -> tensor<16x3xf32>
  return
}
