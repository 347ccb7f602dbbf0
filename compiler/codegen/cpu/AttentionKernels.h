// SPDX-License-Identifier: Apache-2.0
//
// The row kernels between the matrix products of attention (runtime/program/Abi.h, VccAttentionInt), as tg.kernels: their buffers
// and integers are those that runtime/device/cpu gives, so what is in place there is in place here.
#ifndef VCC_COMPILER_CODEGEN_CPU_ATTENTIONKERNELS_H
#define VCC_COMPILER_CODEGEN_CPU_ATTENTIONKERNELS_H

#include "dialects/tg/Tg.h"

namespace vcc::cpu {

enum class AttentionRole {
  Softmax,       // scores -> probabilities, log-sum-exp; rows of Sk
  Probabilities, // scores, log-sum-exp -> probabilities; rows of Sk
  ScoreGrad,     // probabilities, dP, delta -> dS; rows of Sk
  Delta          // out, dout -> their dot product; rows of D
};

/// A kernel of this role and row length, named, at the builder's place.
tg::KernelOp buildAttentionKernel(mlir::OpBuilder &B, mlir::Location Loc, AttentionRole Role, int64_t Columns,
                                  llvm::StringRef Name);

} // namespace vcc::cpu

#endif
