// SPDX-License-Identifier: Apache-2.0
//
// From kernels in vector form to machine code: the LLVM dialect, LLVM IR, the optimiser, and objects or assembly.
#ifndef VCC_COMPILER_CODEGEN_CPU_OBJECT_H
#define VCC_COMPILER_CODEGEN_CPU_OBJECT_H

#include "compiler/codegen/cpu/CpuTarget.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace vcc::cpu {

/// The conversions to the LLVM dialect, for a module.
void buildConvertToLLVM(mlir::OpPassManager &Passes);

/// Rewrites a module of kernels (llvm.func over arith, math, vector, scf) into the LLVM dialect alone.
mlir::LogicalResult convertKernelsToLLVM(mlir::ModuleOp Kernels);

/// LLVM IR of a module in the LLVM dialect, optimised for the target.
llvm::Expected<std::unique_ptr<llvm::Module>> translateKernels(mlir::ModuleOp Kernels, const CpuTarget &Target,
                                                               llvm::LLVMContext &Context);

/// Fails, naming the callee, when a function calls anything but LLVM intrinsics that are instructions.
llvm::Error verifyNoCalls(const llvm::Module &Module);

llvm::Expected<std::string> emitAssembly(llvm::Module &Module, const CpuTarget &Target);
llvm::Expected<std::string> emitObject(llvm::Module &Module, const CpuTarget &Target);

/// The whole way for a module of kernels in vector form: one or more objects, made by at most `Threads` threads. The kernels are
/// divided by their number, never by the number of threads, so the bytes are the same for any of them.
llvm::Expected<std::vector<std::string>> compileKernels(mlir::ModuleOp Kernels, const CpuTarget &Target,
                                                        unsigned Threads);

} // namespace vcc::cpu

#endif
