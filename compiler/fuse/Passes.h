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

/// All passes of fusion in order, with the simplifications between them.
void buildFusePipeline(mlir::OpPassManager &manager);

/// Registers the passes and the pipeline `tg-fuse` (for vcc-opt).
void registerFuse();

} // namespace vcc::fuse

#endif
