// RUN: vcc-opt %s --tg-split-composites=attention=all | FileCheck %s
// RUN: vcc-opt %s --tg-split-composites | FileCheck %s --check-prefix=KEPT

// Without masks nothing is selected: scores, softmax, values.
// CHECK-LABEL: func.func @plain
// KEPT-LABEL: func.func @plain
func.func @plain() {
  %q = tg.input "q" : tensor<2x5x4x8xf32>
  %k = tg.input "k" : tensor<2x6x2x8xf32>
  %v = tg.input "v" : tensor<2x6x2x8xf32>
  // CHECK-NOT: tg.select
  // CHECK: tg.dot_general {{.*}} -> tensor<2x2x2x5x6xf32>
  // CHECK: kind = #tg.reduce_kind<max>
  // CHECK: tg.exp
  // CHECK: kind = #tg.reduce_kind<sum>
  // CHECK: tg.dot_general {{.*}} -> tensor<2x2x2x5x8xf32>
  // CHECK-NOT: tg.attention
  // KEPT: tg.attention
  %o:2 = tg.attention %q, %k, %v {scale = 0.5}
      : tensor<2x5x4x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  tg.output "o", %o#0 : tensor<2x5x4x8xf32>
  return
}

// A query sees keys from its sample's start up to its own place.
// CHECK-LABEL: func.func @masked
func.func @masked() {
  %q = tg.input "q" : tensor<2x5x4x8xf32>
  %k = tg.input "k" : tensor<2x5x2x8xf32>
  %n = tg.input "n" : tensor<2xi32>
  %s = tg.input "s" : tensor<2x5xi32>
  // CHECK-DAG: tg.compare {{.*}}predicate<lt>
  // CHECK-DAG: tg.compare {{.*}}predicate<ge>
  // CHECK-DAG: tg.compare {{.*}}predicate<le>
  // CHECK: tg.select
  // CHECK-NOT: tg.attention
  %o:2 = tg.attention %q, %k, %k lengths(%n : tensor<2xi32>) starts(%s : tensor<2x5xi32>) {causal, scale = 0.5}
      : tensor<2x5x4x8xf32>, tensor<2x5x2x8xf32>, tensor<2x5x2x8xf32> -> tensor<2x5x4x8xf32>, tensor<2x4x5xf32>
  tg.output "o", %o#0 : tensor<2x5x4x8xf32>
  return
}
