// SPDX-License-Identifier: Apache-2.0
// RUN: vcc-opt --verify-roundtrip %s | FileCheck %s
// Every expression op in every form.

// CHECK-LABEL: vcs.module @forms main doc "All forms."
vcs.module @forms main doc "All forms." {
  vcs.struct @Pair {
    vcs.param "first" : #vcs.named<int>
    vcs.param "second" : #vcs.declared<@forms::@Pair> default {
      // CHECK: vcs.literal unit
      %0 = vcs.literal unit
      vcs.yield %0
    }
  }
  // CHECK: vcs.fn @f doc "f" params
  vcs.fn @f doc "f" params {
    // CHECK: vcs.param "x" : #vcs.tensor<i32, [..., "B", 4, value 0]> dims
    vcs.param "x" : #vcs.tensor<i32, [..., "B", 4, value 0]> dims {
      %0 = vcs.literal 8 : i64
      vcs.yield %0
    }
    // CHECK: vcs.param "w" : #vcs.tensor<param f32, []>
    vcs.param "w" : #vcs.tensor<param f32, []>
    // CHECK: vcs.result : #vcs.named<any>
    vcs.result : #vcs.named<any>
  } body {
  ^bb0(%x: !vcs.value, %w: !vcs.value):
    // CHECK: vcs.literal 3 : i64
    // CHECK: vcs.literal 2.000000e+00 : f64 unit epochs
    // CHECK: vcs.literal "text"
    // CHECK: vcs.literal true
    %int = vcs.literal 3 : i64
    %float = vcs.literal 2.0 : f64 unit epochs
    %text = vcs.literal "text"
    %bool = vcs.literal true
    // CHECK: vcs.word "random"
    // CHECK: vcs.ref @forms::@Pair
    // CHECK: vcs.builtin "len"
    // CHECK: vcs.argument "B"
    // CHECK: vcs.part "vision"
    // CHECK: vcs.input "clip"
    // CHECK: vcs.get %{{.*}} "shape"
    %word = vcs.word "random"
    %ref = vcs.ref @forms::@Pair
    %len = vcs.builtin "len"
    %b = vcs.argument "B"
    %part = vcs.part "vision"
    %input = vcs.input "clip"
    %shape = vcs.get %x "shape"
    // CHECK: %[[S:.*]] = vcs.slice from %{{.*}} to %{{.*}} by %{{.*}}
    // CHECK: vcs.slice{{$}}
    // CHECK: %[[E:.*]] = vcs.ellipsis
    // CHECK: vcs.index %{{.*}}[%[[E]], %[[S]]]
    %slice = vcs.slice from %int to %b by %int
    %all = vcs.slice
    %dots = vcs.ellipsis
    %index = vcs.index %x[%dots, %slice]
    // CHECK: vcs.call %{{.*}}(%{{.*}}, axis = %{{.*}})
    // CHECK: vcs.call %{{.*}}(){{$}}
    %call = vcs.call %len(%x, axis = %int)
    %empty = vcs.call %len()
    // CHECK: vcs.unary not
    // CHECK: vcs.binary floordiv
    %not = vcs.unary not %bool
    %div = vcs.binary floordiv %int, %int
    // CHECK: vcs.logical or %{{.*}} {
    %or = vcs.logical or %bool {
      vcs.yield %not
    }
    // CHECK: vcs.list[%{{.*}}, %{{.*}}]
    // CHECK: vcs.tuple(%{{.*}})
    // CHECK: vcs.range %{{.*}}, %{{.*}}
    %list = vcs.list [%int, %float]
    %tuple = vcs.tuple (%int)
    %range = vcs.range %int, %b
    // CHECK: vcs.conditional %{{.*}} {
    // CHECK: } else {
    %choice = vcs.conditional %bool {
      vcs.yield %int
    } else {
      vcs.yield %float
    }
    // CHECK: vcs.comprehension %{{.*}} {
    // CHECK: } where {
    %squares = vcs.comprehension %range {
    ^bb0(%i: !vcs.value):
      %square = vcs.binary mul %i, %i
      vcs.yield %square
    } where {
    ^bb0(%i: !vcs.value):
      %even = vcs.binary eq %i, %int
      vcs.yield %even
    }
    // CHECK: vcs.if %{{.*}} {
    // CHECK: } -> !vcs.value
    %if = vcs.if %bool {
      vcs.yield %int
    } else {
      vcs.yield %b
    } -> !vcs.value
    // CHECK: vcs.for %{{.*}} targets 1 carry(%{{.*}}) {
    %for = vcs.for %range targets 1 carry(%int) {
    ^bb0(%i: !vcs.value, %sum: !vcs.value):
      %next = vcs.binary add %sum, %i
      vcs.yield %next
    } -> !vcs.value
    // CHECK: vcs.return
    vcs.return %for
  }
}
