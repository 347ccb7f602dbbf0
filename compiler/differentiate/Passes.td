// SPDX-License-Identifier: Apache-2.0
//
// The pass of this step.
#ifndef VCC_DIFFERENTIATE_PASSES
#define VCC_DIFFERENTIATE_PASSES

include "mlir/Pass/PassBase.td"

def DifferentiatePass : Pass<"tg-differentiate", "::mlir::ModuleOp"> {
  let summary = "turn each forward function of a stage into a micro-step with its backward";
  let description = [{
    Reverse mode on the flat graph. Only what lies between a read of a trainable state and `tg.loss` gets a cotangent; a
    frozen weight gets none and nothing is kept for it. `@forward_x` becomes `@micro_x`, whose backward follows `tg.loss`
    in program order and ends in one write per weight, made as soon as its last contribution is there:
    ```mlir
    %w = tg.read @w : tensor<4xf32>                 // tg.state @w weight trainable : tensor<4xf32>
    ...
    tg.loss %l : tensor<f32>
    ...
    tg.write @"gradient:w", %g {accumulate} : tensor<4xf32>
    ```
    The write replaces instead of adding when the module says `tg.accumulate = 1`. Where it names a state by `tg.loss_scale`,
    f32 [1], gradients are multiplied by that. A trainable weight that no forward
    function's loss depends on is an error unless the module's `tg.idle` lists it. `tg.stop_gradient` blocks and is then
    removed. Afterwards no `@forward_` function remains. Runs after `tg-simplify` (so that a shared weight is read once).
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

#endif
