// SPDX-License-Identifier: Apache-2.0
//
// Passes and pipelines of this step.
#ifndef VCC_COMPILER_RECOMPUTE_PASSES_H
#define VCC_COMPILER_RECOMPUTE_PASSES_H

#include "dialects/tg/Tg.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace vcc::recompute {

#define GEN_PASS_DECL
#include "compiler/recompute/Passes.h.inc"

/// Whether the stage has borders of segments, and thus something to do for this step.
bool hasSegments(mlir::ModuleOp stage);

/// `tg-recompute`: the pass, and the simplification that borders stood in the way of.
void buildRecomputePipeline(mlir::OpPassManager &passes);

/// Registers the flags `tg-recompute-segments` and `tg-recompute`.
void registerRecomputePasses();

} // namespace vcc::recompute

#endif
