// RUN: vcc-opt %s --tg-fuse --exec-schedule --split-input-file | FileCheck %s

// A state is read and written where it lies; a frozen weight is in the weights region; what is written to a state is made
// there.
// CHECK-LABEL: module @update
// CHECK: exec.module @stage sizes{weights = 64, state = 192
// CHECK-DAG: exec.buffer @frozen weights at 0 size 64 : tensor<16xf32> why "frozen weight"
// CHECK-DAG: exec.buffer @flat state at 0 size 128 : tensor<32xf32> why "trained weight"
// CHECK-DAG: exec.buffer @w state at 64 size 64 : tensor<16xf32> view @flat why "trained weight"
// CHECK: exec.function @update {
// CHECK-NEXT: exec.launch @{{.*}} reads [@w, @frozen] writes [@w]
// CHECK-NEXT: }
module @update {
  tg.state @frozen weight : tensor<16xf32>
  tg.state @flat weight : tensor<32xf32>
  tg.state @w weight trainable in(@flat, 16) : tensor<16xf32>
  tg.state @m moment : tensor<16xf32>
  func.func @update() {
    %w = tg.read @w : tensor<16xf32>
    %f = tg.read @frozen : tensor<16xf32>
    %n = tg.add %w, %f : tensor<16xf32>
    tg.write @w, %n : tensor<16xf32>
    return
  }
}

// -----

// Must not fire: the old value is used after the new one is made, so the new one is copied in afterwards.
// CHECK-LABEL: module @keeps_old_value
// CHECK: exec.function @update {
// CHECK-NEXT: exec.launch @{{.*}} reads [@w] writes [@"update/0"]
// CHECK-NEXT: exec.gemm @"update/1" = @"update/0" * @w
// CHECK: exec.copy @w = @"update/1" size 64
module @keeps_old_value {
  tg.state @w weight trainable : tensor<4x4xf32>
  func.func @update() {
    %w = tg.read @w : tensor<4x4xf32>
    %n = tg.neg %w : tensor<4x4xf32>
    %y = tg.dot_general %n, %w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    tg.write @w, %y : tensor<4x4xf32>
    return
  }
}

// -----

// A gradient that accumulates is the product's own destination.
// CHECK-LABEL: module @accumulates
// CHECK: exec.function @micro_main {
// CHECK-NEXT: exec.gemm @"gradient:w" = @"micro_main/in/x" * @"micro_main/in/y"
// CHECK-SAME: accumulate
// CHECK-NEXT: }
module @accumulates {
  tg.state @w weight trainable : tensor<4x4xf32>
  tg.state @"gradient:w" gradient : tensor<4x4xf32>
  func.func @micro_main() {
    %x = tg.input "x" : tensor<4x4xf32>
    %y = tg.input "y" : tensor<4x4xf32>
    %g = tg.dot_general %x, %y {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 0>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    tg.write @"gradient:w", %g {accumulate} : tensor<4x4xf32>
    return
  }
}

// -----

// Both parts of a concatenation are written straight into it; zeros are a fill.
// CHECK-LABEL: module @windows
// CHECK: exec.function @evaluate_f {
// CHECK: exec.launch @{{.*}} writes [@"evaluate_f/out/y", @"evaluate_f/out/y"] dims [2] access [{{.*}}, #tg.access<0, [6]>, #tg.access<3, [6]>]
// CHECK: exec.fill @"gradient:w" size 64
module @windows {
  tg.state @"gradient:w" gradient : tensor<4x4xf32>
  func.func @evaluate_f() {
    %x = tg.input "x" : tensor<2x3xf32>
    %a = tg.exp %x : tensor<2x3xf32>
    %b = tg.neg %x : tensor<2x3xf32>
    %y = tg.concat %a, %b {axis = 1 : i64} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x6xf32>
    tg.output "y", %y : tensor<2x6xf32>
    %0 = tg.constant dense<0.0> : tensor<4x4xf32>
    tg.write @"gradient:w", %0 : tensor<4x4xf32>
    return
  }
}

// -----

// A value that is not read again gives its place to the result made from it, row by row.
// CHECK-LABEL: module @in_place
// CHECK: exec.module @stage sizes{weights = 0, state = 0, arena = 64
// CHECK: exec.buffer @"f/0" arena at 0 size 64 : tensor<4x4xf32> live 0 to 2 in @f why "temporary"
// CHECK: exec.function @f {
// CHECK-NEXT: exec.gemm @"f/0"
// CHECK-NEXT: exec.launch @{{.*}} reads [@"f/0"] writes [@"f/0"]
// CHECK-NEXT: exec.gemm @"f/out/y" = @"f/0"
module @in_place {
  func.func @f() {
    %x = tg.input "x" : tensor<4x4xf32>
    %p = tg.dot_general %x, %x {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %s = tg.softmax %p : tensor<4x4xf32>
    %y = tg.dot_general %s, %x {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    tg.output "y", %y : tensor<4x4xf32>
    return
  }
}

// -----

// Must not fire: another row of the kernel still reads, transposed, what this one would overwrite.
// CHECK-LABEL: module @read_by_another_row
// CHECK: exec.function @f {
// CHECK-NEXT: exec.gemm @"f/0"
// CHECK-NEXT: exec.launch @{{.*}} reads [@"f/0", @"f/0"] writes [@"f/1"]
// CHECK-NEXT: exec.gemm @"f/out/y" = @"f/1"
module @read_by_another_row {
  func.func @f() {
    %x = tg.input "x" : tensor<4x4xf32>
    %p = tg.dot_general %x, %x {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %t = tg.transpose %p {permutation = array<i64: 1, 0>} : (tensor<4x4xf32>) -> tensor<4x4xf32>
    %e = tg.exp %t : tensor<4x4xf32>
    %s = tg.sub %p, %e : tensor<4x4xf32>
    %y = tg.dot_general %s, %x {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    tg.output "y", %y : tensor<4x4xf32>
    return
  }
}

// -----

// What is joined between ranks is a launch of its own, of whole buffers; a sum between ranks goes straight to where it is stored.
// CHECK-LABEL: module @between_ranks
// CHECK: exec.function @micro_main {
// CHECK-NEXT: exec.launch @{{.*}} reads [@"micro_main/in/x"] writes [@"micro_main/[[E:[0-9]+]]"]
// CHECK-NEXT: exec.gather @"micro_main/[[ALL:[0-9]+]]" = @"micro_main/[[E]]" ranks 2 size 32
// CHECK-NEXT: exec.launch @{{.*}} reads [@"micro_main/[[ALL]]"] writes [@"micro_main/[[N:[0-9]+]]"]
// CHECK-NEXT: exec.reduce_scatter @"gradient:w" = @"micro_main/[[N]]" ranks 2 size 32
// CHECK-NEXT: }
module @between_ranks {
  tg.state @w weight trainable : tensor<2x4xf32>
  tg.state @"gradient:w" gradient : tensor<2x4xf32>
  func.func @micro_main() {
    %x = tg.input "x" : tensor<2x4xf32>
    %e = tg.exp %x : tensor<2x4xf32>
    %all = tg.all_gather %e {ranks = 2 : i64} : (tensor<2x4xf32>) -> tensor<4x4xf32>
    %n = tg.neg %all : tensor<4x4xf32>
    %g = tg.reduce_scatter %n {ranks = 2 : i64} : (tensor<4x4xf32>) -> tensor<2x4xf32>
    tg.write @"gradient:w", %g : tensor<2x4xf32>
    return
  }
}
