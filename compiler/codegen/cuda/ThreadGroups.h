// SPDX-License-Identifier: Apache-2.0
//
// What threads do together: values of a group combined by trees of shuffles, over more than a warp through the block's memory. The
// order of every sum is fixed by the kernel alone.
#ifndef VCC_COMPILER_CODEGEN_CUDA_THREADGROUPS_H
#define VCC_COMPILER_CODEGEN_CUDA_THREADGROUPS_H

#include "compiler/codegen/cuda/GridFrame.h"

namespace vcc::cuda {

class ThreadGroups {
public:
  ThreadGroups(GridFrame &Frame, codegen::Pointwise &Ops) : Frame(Frame), Ops(Ops), B(Frame.B) {}

  struct Part {
    tg::ReduceKind Kind;
    mlir::Type Element;
    mlir::Value Held; // by this thread; a scalar
  };
  /// Each part combined over the `Group` threads around this one; all of them get it. All threads of the block must come here.
  Values combine(llvm::ArrayRef<Part> Parts, int64_t Group);
  /// Sums over the groups of the block, of values that the threads of each group have at equal places. The first group gets them.
  Values sumOverGroups(mlir::ValueRange Held, llvm::ArrayRef<mlir::Type> Elements, int64_t Group);
  void barrier();

private:
  mlir::Value shuffle(mlir::Value X, int64_t Distance);
  mlir::Value memory(mlir::Type Element, int64_t Count);

  GridFrame &Frame;
  codegen::Pointwise &Ops;
  mlir::ImplicitLocOpBuilder &B;
  llvm::SmallVector<mlir::Value> Memories;
};

} // namespace vcc::cuda

#endif
