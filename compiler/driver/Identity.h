// SPDX-License-Identifier: Apache-2.0
//
// What decides on the weights of a stage, as a hash: the recipe may change in everything else, and checkpoints of the stage can
// still be gone on from.
#ifndef VCC_COMPILER_DRIVER_IDENTITY_H
#define VCC_COMPILER_DRIVER_IDENTITY_H

#include "compiler/elaborate/Manifest.h"
#include "llvm/Support/Error.h"

namespace vcc::driver {

/// Of the functions that train, their kernels and the states; `fused` is a stage's module before it is scheduled, in which kernels
/// are named by their structure and nothing has an offset yet.
std::string identityOfTraining(mlir::ModuleOp fused);

/// Of what makes code of a stage and runs it: this vcc, the runtime that is linked, for a GPU the assembler.
llvm::Expected<std::string> identityOfTools(llvm::StringRef executable, bool cuda);

/// Writes `identity` into a stage of the manifest: `training`, `tools`, the target, and what the manifest says of the stage and its data, but for
/// evaluations, `save`, `log`, `on_error` and places in memory.
void writeIdentity(elaborate::Json &manifest, size_t stage, llvm::StringRef training, llvm::StringRef tools);

} // namespace vcc::driver

#endif
