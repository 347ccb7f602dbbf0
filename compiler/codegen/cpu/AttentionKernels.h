// SPDX-License-Identifier: Apache-2.0
//
// Attention and its gradient for one head size, as functions that runtime/device/cpu calls on ranges of heads (runtime/program/Abi.h,
// VccAttentionInt). Lengths, heads and samples come at run time, so that one kernel serves all batches. `Packed`: several sequences lie in a row, and
// each query's start is given; what lies before the starts of a few rows is skipped.
#ifndef VCC_COMPILER_CODEGEN_CPU_ATTENTIONKERNELS_H
#define VCC_COMPILER_CODEGEN_CPU_ATTENTIONKERNELS_H

#include "compiler/codegen/cpu/CpuTarget.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace vcc::cpu {

/// The kernels at the builder's place.
void emitAttention(llvm::StringRef Name, int64_t HeadSize, bool Packed, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B);
void emitAttentionGrad(llvm::StringRef Name, int64_t HeadSize, bool Packed, const CpuTarget &Target,
                       mlir::ImplicitLocOpBuilder &B);

} // namespace vcc::cpu

#endif
