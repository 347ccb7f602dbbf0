// SPDX-License-Identifier: Apache-2.0
//
// The passes of this step.
#ifndef VCC_PRECISION_PASSES
#define VCC_PRECISION_PASSES

include "mlir/Pass/PassBase.td"

def NarrowPrecisionPass : Pass<"tg-narrow-precision", "::mlir::ModuleOp"> {
  let summary = "products, attention and activations in bf16 or f16, all else in f32; frozen weights stored so";
  let description = [{
    Works on a stage in f32 before differentiation, so that gradients follow. In `@forward_x` and `@evaluate_x` operands of
    products and attention are rounded to bf16, their sums kept in f32; a value rounds where it goes to memory (the README
    lists these places), which is a cast to bf16 and back:
    ```mlir
    %p = tg.dot_general %x, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %y = tg.tanh %p : tensor<4x8xf32>
    // becomes
    %a = tg.cast %x : tensor<4x8xf32> -> tensor<4x8xbf16>
    %b = tg.cast %w : tensor<8x8xf32> -> tensor<8x8xbf16>
    %p = tg.dot_general %a, %b : (tensor<4x8xbf16>, tensor<8x8xbf16>) -> tensor<4x8xf32>
    %n = tg.cast %p : tensor<4x8xf32> -> tensor<4x8xbf16>
    %q = tg.cast %n : tensor<4x8xbf16> -> tensor<4x8xf32>
    %y = tg.tanh %q : tensor<4x8xf32>
    ```
    A weight that does not train, that no other state lies in and that only `@init` writes becomes a state of bf16. Runs after
    tg-simplify (so that a weight is read once) and before tg-differentiate. With `half` it is f16 in place of bf16.
  }];
  let options = [Option<"half", "half", "bool", "false", "f16 in place of bf16">];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def WidenGradientsPass : Pass<"tg-widen-gradients", "::mlir::ModuleOp"> {
  let summary = "gradients of weights are not rounded to two bytes on their way to their state";
  let description = [{
    What differentiation writes to a gradient was rounded to the type in which the product read the weight. The rounding is
    dropped, through sums and views, where nothing but gradients read the rounded value:
    ```mlir
    %g = tg.dot_general %x, %d : (tensor<8x4xbf16>, tensor<8x4xbf16>) -> tensor<4x4xbf16>
    %w = tg.cast %g : tensor<4x4xbf16> -> tensor<4x4xf32>
    tg.write @"gradient:w", %w : tensor<4x4xf32>
    // becomes
    %g = tg.dot_general %x, %d : (tensor<8x4xbf16>, tensor<8x4xbf16>) -> tensor<4x4xf32>
    tg.write @"gradient:w", %g : tensor<4x4xf32>
    ```
    Runs after tg-differentiate.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

#endif
