// SPDX-License-Identifier: Apache-2.0
//
// From the plans of all stages to the levels of the CUDA target.
#ifndef VCC_COMPILER_DRIVER_CUDACODE_H
#define VCC_COMPILER_DRIVER_CUDACODE_H

#include "compiler/driver/Costs.h"
#include "compiler/driver/Levels.h"

#include "llvm/Support/Error.h"

namespace vcc::driver {

/// A level that is text: `Kernels`, `Asm` or `Resources`.
llvm::Expected<std::string> emitCudaText(llvm::ArrayRef<mlir::ModuleOp> stages, Level level, Costs &costs);

/// Tables, manifest and device code as one object. The launches of the plans become launches of grids.
llvm::Expected<std::string> emitCudaObject(llvm::ArrayRef<mlir::ModuleOp> stages, llvm::StringRef manifest, Costs &costs);

} // namespace vcc::driver

#endif
