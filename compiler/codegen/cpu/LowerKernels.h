// SPDX-License-Identifier: Apache-2.0
//
// The kernels of a program: every tg.kernel of its stages once, and attention's row kernels, as C functions in vector form.
#ifndef VCC_COMPILER_CODEGEN_CPU_LOWERKERNELS_H
#define VCC_COMPILER_CODEGEN_CPU_LOWERKERNELS_H

#include "compiler/codegen/cpu/CpuTarget.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace vcc::cpu {

/// Each stage is a builtin.module with tg.kernel symbols and perhaps an exec.module. Kernels of one name are the same kernel. The
/// result holds one llvm.func `void name(ptr buffers, ptr ints, i64 begin, i64 end)` per name, in the order of first appearance,
/// over arith, math, vector, scf and llvm operations (`--emit=kernels`). Null after errors, which are reported on the kernels.
mlir::OwningOpRef<mlir::ModuleOp> lowerKernels(llvm::ArrayRef<mlir::ModuleOp> Stages,
                                                                const CpuTarget &Target);

} // namespace vcc::cpu

#endif
