// SPDX-License-Identifier: Apache-2.0
//
// What the records of evaluations lack, said at the clauses that ask for it.
#ifndef VCC_COMPILER_DRIVER_EVALUATIONS_H
#define VCC_COMPILER_DRIVER_EVALUATIONS_H

#include "compiler/elaborate/Manifest.h"
#include "dsl/diag/Engine.h"

namespace vcc::driver {

/// Reads the annotations below `dataDir` as a program would. `program` is the recipe at level `vcs`.
void checkEvaluations(const elaborate::Json &manifest, mlir::ModuleOp program, const std::string &dataDir, diag::Engine &engine,
                      llvm::raw_ostream &err);

} // namespace vcc::driver

#endif
