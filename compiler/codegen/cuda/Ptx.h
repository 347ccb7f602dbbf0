// SPDX-License-Identifier: Apache-2.0
//
// From a gpu.module to PTX: the NVVM dialect, LLVM IR, the optimiser, NVPTX. The PTX is of ISA 8.0 for sm_80, which drivers since
// CUDA 12.0 compile for any chip from Ampere on; cubins are assembled from the same text.
#ifndef VCC_COMPILER_CODEGEN_CUDA_PTX_H
#define VCC_COMPILER_CODEGEN_CUDA_PTX_H

#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include <string>
#include <vector>

namespace vcc::cuda {

/// The conversions of a builtin.module that holds gpu.modules.
void buildConvertToNvvm(mlir::OpPassManager &Passes);

/// PTX of a module as lowerKernels gives it, which stays as it is: one text for every `KernelsPerModule` kernels, made by at most
/// `Threads` threads. The kernels are divided by their number alone.
constexpr unsigned KernelsPerModule = 16, PtxChip = 80;
llvm::Expected<std::vector<std::string>> emitPtx(mlir::ModuleOp Kernels, unsigned Threads);

} // namespace vcc::cuda

#endif
