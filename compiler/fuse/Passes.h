// SPDX-License-Identifier: Apache-2.0
//
// Public entries of fusion: from a differentiated tg stage module to kernels, launches and library operations.
#ifndef VCC_COMPILER_FUSE_PASSES_H
#define VCC_COMPILER_FUSE_PASSES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace vcc::fuse {

#define GEN_PASS_DECL
#include "compiler/fuse/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/fuse/Passes.h.inc"

/// What the library calls of a target can do.
struct FuseOptions {
  bool attention = true;   ///< else every attention becomes products and rows
  bool activations = true; ///< as epilogues of products
  /// cuBLASLt's GELU is not the graph's; attention has no call yet.
  static FuseOptions cuda() { return {/*attention=*/false, /*activations=*/false}; }
};

/// All passes of fusion in order, with the simplifications between them.
void buildFusePipeline(mlir::OpPassManager &manager, const FuseOptions &options = {});

/// Registers the passes and the pipelines `tg-fuse` and `tg-fuse-cuda` (for vcc-opt).
void registerFuse();

} // namespace vcc::fuse

#endif
