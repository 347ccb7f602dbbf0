// SPDX-License-Identifier: Apache-2.0
//
// From what a recipe says (vcs) to what its stages compute (tg): the entry point of this step.
#ifndef VCC_COMPILER_ELABORATE_ELABORATE_H
#define VCC_COMPILER_ELABORATE_ELABORATE_H

#include "compiler/elaborate/Manifest.h"
#include "dsl/diag/Engine.h"
#include "mlir/IR/OwningOpRef.h"

namespace vcc::elaborate {

struct ElaborateOptions {
  /// Where the standard library lies; faults inside it are told from the recipe's side.
  std::string stdlibDir;
  /// Whether it is to run where only f32 does; another precision is a fault then.
  bool f32Only = false;
  /// Whether `effective` is wanted.
  bool effective = false;
};

struct ElaboratedStage {
  std::string name;
  std::optional<int64_t> number;
  /// A builtin.module with `tg.stage`: states, @forward_main, @evaluate_<name>.., @update, @init.
  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// All that the stage says in effect, with the places that it comes from: see Effective.h.
  Json effective;
};

struct ElaboratedRecipe {
  std::string name;
  std::vector<ElaboratedStage> stages;
  /// Without offsets, regions and functions: see placeStage.
  Json manifest;
};

/// Evaluates every stage of the recipe in `program` (the output of dsl::compileToVcs). Faults go to
/// `engine`; failure exactly if there were some.
llvm::FailureOr<ElaboratedRecipe> elaborate(mlir::ModuleOp program, diag::Engine &engine,
                                            const ElaborateOptions &options);

} // namespace vcc::elaborate

#endif
