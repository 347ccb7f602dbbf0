// SPDX-License-Identifier: Apache-2.0
//
// The front of the compiler: a recipe and the modules that it imports, read, checked and emitted as the vcs dialect.
#ifndef VCC_DSL_DSL_H
#define VCC_DSL_DSL_H

#include "dsl/diag/Engine.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <utility>
#include <vector>

namespace vcc::dsl {

struct Options {
  std::string File;
  std::string StdlibDir;
  /// -D name=expression, in order; each replaces the value of a const of the recipe.
  std::vector<std::pair<std::string, std::string>> Defines;
  /// Folders to look in for the files that the recipe names; empty: these files are not checked.
  std::string DataDir, WeightsDir;
};

/// Null exactly if `Engine` has errors. The context needs no dialect loaded before.
mlir::OwningOpRef<mlir::ModuleOp> compileToVcs(mlir::MLIRContext &Context, const Options &Options, diag::Engine &Engine);

} // namespace vcc::dsl

#endif
