// SPDX-License-Identifier: Apache-2.0
//
// The step as a pass, for vcc-opt.
#ifndef VCC_ELABORATE_PASSES
#define VCC_ELABORATE_PASSES

include "mlir/Pass/PassBase.td"

def ConvertVcsToTgPass : Pass<"convert-vcs-to-tg", "::mlir::ModuleOp"> {
  let summary = "evaluate a recipe; each stage becomes a module of the training graph";
  let description = [{
    Takes a `builtin.module` of `vcs.module` ops and leaves one nested `builtin.module` with `tg.stage` for each stage of the main module:
    ```mlir
    vcs.module @"m" main { vcs.model @M {..}  vcs.stage "s" of @m::@M {..} }
    // becomes
    module attributes {tg.stage = "s"} {
      tg.state @"lm.weight" weight trainable in(@"group0:weight", 0) : tensor<4x4xf32>
      func.func @forward_main() {..}   func.func @update() {..}   func.func @init() {..}
    }
    ```
    Faults of the recipe are errors at their place, with the code of `vcc explain` in front. Nothing has to run before it.
  }];
  let options = [
    Option<"manifest", "manifest", "bool", "false", "attach the manifest as the string attribute `vcc.manifest`">
  ];
  let dependentDialects = ["::vcc::tg::TgDialect", "::mlir::func::FuncDialect"];
}

#endif
