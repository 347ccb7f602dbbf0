// SPDX-License-Identifier: Apache-2.0
//
// The pass of this step.
#ifndef VCC_RECOMPUTE_PASSES
#define VCC_RECOMPUTE_PASSES

include "mlir/Pass/PassBase.td"

def RecomputeSegmentsPass : Pass<"tg-recompute-segments", "::mlir::ModuleOp"> {
  let summary = "what segments compute is computed again before their backward instead of being kept for it";
  let description = [{
    A segment lies between the barriers that carry its border. Whatever of it the operations behind `tg.loss` read is
    computed again right before the first of them, from what enters the segment:
    ```mlir
    %b = tg.barrier %x {border = #tg.border<enter 0>} : tensor<4xf32>
    %s = tg.sin %b : tensor<4xf32>
    %y = tg.barrier %s {border = #tg.border<leave 0>} : tensor<4xf32>
    tg.loss ..
    %g = ..                                // the cotangent of %y
    %d = tg.cos %b : tensor<4xf32>
    %h = tg.mul %s, %g : tensor<4xf32>     // a reader of %s
    // becomes
    %s = tg.sin %x : tensor<4xf32>
    tg.loss ..
    %g = ..
    %a:2 = tg.barrier %x, %g : tensor<4xf32>, tensor<4xf32>
    %t = tg.sin %a#0 : tensor<4xf32>
    %h = tg.mul %t, %g : tensor<4xf32>
    ```
    The barrier keeps the copy apart from the first and, by the cotangent, behind the backward so far. Random draws have
    the site and the counters of the first, hence its numbers. Afterwards no barrier has a border. Runs after
    tg-differentiate and tg-simplify (so that nothing is computed again for operations that nobody reads).
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

#endif
