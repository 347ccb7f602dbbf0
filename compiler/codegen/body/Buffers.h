// SPDX-License-Identifier: Apache-2.0
//
// What a kernel reads and writes in memory, in the order in which a launch hands addresses over.
#ifndef VCC_COMPILER_CODEGEN_BODY_BUFFERS_H
#define VCC_COMPILER_CODEGEN_BODY_BUFFERS_H

#include "dialects/tg/Tg.h"

namespace vcc::codegen {

inline bool isSum(tg::ResultKind Kind) { return Kind == tg::ResultKind::ColumnSum || Kind == tg::ResultKind::TotalSum; }

struct BodyBuffer {
  mlir::Type Element; // as in the graph
  mlir::Type Storage; // in memory: a truth value takes a byte
  int64_t InnerStride = 1;
  int64_t Index = -1; // argument number of the index, of an indexed parameter or a scatter result
  bool IsSum = false;
};

struct BodyMemory {
  static constexpr unsigned Uniform = ~0u; // of an argument that is no buffer but a number of the launch
  llvm::SmallVector<BodyBuffer> Buffers;
  llvm::SmallVector<unsigned> OfArgument, OfResult; // their places among the buffers
};

/// An error where an element has no code on the target, which is named in it.
mlir::FailureOr<BodyMemory> memoryOf(tg::KernelOp Kernel, llvm::StringRef Target, bool TakesHalves);

} // namespace vcc::codegen

#endif
