// SPDX-License-Identifier: Apache-2.0
//
// The kernels of a program as functions of one gpu.module: every tg.kernel that a plan launches, once for each way in which its
// launches walk.
#ifndef VCC_COMPILER_CODEGEN_CUDA_LOWERKERNELS_H
#define VCC_COMPILER_CODEGEN_CUDA_LOWERKERNELS_H

#include "compiler/codegen/cuda/GridWalk.h"
#include "dialects/exec/Exec.h"
#include "llvm/ADT/StringMap.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace vcc::cuda {

constexpr llvm::StringLiteral ModuleName = "kernels";

/// Collects kernels in a module of its own.
class GridKernels {
public:
  explicit GridKernels(mlir::MLIRContext *Context);
  /// The kernel's name for this walk; emitted when it is new. Failure, with an error on the kernel's operations, where it has
  /// no CUDA code.
  mlir::FailureOr<std::string> add(tg::KernelOp Kernel, const GridLaunch &Launch);
  /// What was added, cleaned up.
  mlir::OwningOpRef<mlir::ModuleOp> finish();

private:
  mlir::OwningOpRef<mlir::ModuleOp> Out;
  llvm::StringMap<tg::KernelOp> Known;
};

/// A planned launch's numbers.
LaunchShape shapeOf(exec::LaunchKernelOp Launch, mlir::SymbolTable &Buffers);

/// Each stage is a builtin.module with tg.kernel symbols and an exec.module. Null after errors, which are reported on the kernels
/// and launches.
mlir::OwningOpRef<mlir::ModuleOp> lowerKernels(llvm::ArrayRef<mlir::ModuleOp> Stages);

/// A function of the device code, as launches number them.
struct DeviceKernel {
  std::string Name;
  int64_t Threads;
};

/// Replaces each exec.launch of the plans by the exec.launch_grid that it becomes. The kernels are numbered in the order in which
/// lowerKernels makes them.
mlir::FailureOr<std::vector<DeviceKernel>> planGrids(llvm::ArrayRef<mlir::ModuleOp> Stages);

} // namespace vcc::cuda

#endif
