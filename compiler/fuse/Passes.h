// SPDX-License-Identifier: Apache-2.0
//
// Public entries of fusion: from a differentiated tg stage module to kernels, launches and library operations.
#ifndef VCC_COMPILER_FUSE_PASSES_H
#define VCC_COMPILER_FUSE_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace vcc::fuse {

/// Which attention becomes products and rows instead of a call.
enum class Attentions {
  Dropout,     ///< that with dropout on its probabilities, which no library draws as this project does
  Unsupported, ///< also what cuDNN is not asked for (AttentionCalls.h)
  All
};

#define GEN_PASS_DECL
#include "compiler/fuse/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/fuse/Passes.h.inc"

/// What the library calls of a target can do.
struct FuseOptions {
  Attentions split = Attentions::Dropout;
  bool activations = true;  ///< as epilogues of products
  bool joinLowRank = false; ///< LoRA's first products with each other, the second with the frozen ones
  /// cuBLASLt's GELU is not the graph's.
  static FuseOptions cuda(Attentions split = Attentions::Unsupported) { return {split, /*activations=*/false, /*joinLowRank=*/false}; }
};

/// All passes of fusion in order, with the simplifications between them.
void buildFusePipeline(mlir::OpPassManager &manager, const FuseOptions &options = {});

/// Registers the passes and the pipelines `tg-fuse`, `tg-fuse-cuda` and `tg-fuse-cuda-split` (for vcc-opt).
void registerFuse();

} // namespace vcc::fuse

#endif
