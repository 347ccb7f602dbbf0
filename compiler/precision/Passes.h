// SPDX-License-Identifier: Apache-2.0
//
// Passes and pipelines of this step.
#ifndef VCC_COMPILER_PRECISION_PASSES_H
#define VCC_COMPILER_PRECISION_PASSES_H

#include "dialects/tg/Tg.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace vcc::precision {

#define GEN_PASS_DECL
#include "compiler/precision/Passes.h.inc"

/// `tg-narrow`, before differentiation: bf16 (or with `half` f16) where it is safe, and what became dead or equal removed.
void buildNarrowPipeline(mlir::OpPassManager &passes, bool half = false);

/// `tg-keep-gradients`, after differentiation: gradients of weights and the copies of weights, and the same cleaning up.
void buildKeepGradientsPipeline(mlir::OpPassManager &passes);

/// Registers the flags of this step.
void registerPrecisionPasses();

} // namespace vcc::precision

#endif
