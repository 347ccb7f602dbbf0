// SPDX-License-Identifier: Apache-2.0
//
// Passes and pipelines of this step.
#ifndef VCC_COMPILER_DIFFERENTIATE_PASSES_H
#define VCC_COMPILER_DIFFERENTIATE_PASSES_H

#include "dialects/tg/Tg.h"

#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace vcc::differentiate {

#define GEN_PASS_DECL
#include "compiler/differentiate/Passes.h.inc"

/// Canonicalisation (which also drops dead code) and common subexpressions: `tg-simplify`.
void buildSimplifyPipeline(mlir::OpPassManager &Passes);

/// Registers the flags `tg-differentiate` and `tg-simplify`.
void registerDifferentiatePasses();

/// Differentiates every `@forward_x` of a stage into `@micro_x`. `UnreachedWeights` receives the paths of trainable
/// weights, not listed in the module's `tg.idle`, that no loss depends on; the caller decides what to say about them.
/// Failure: an operation without gradient between a trainable weight and the loss, or not exactly one loss; emitted.
llvm::LogicalResult differentiateStage(mlir::ModuleOp Stage, llvm::SmallVectorImpl<std::string> &UnreachedWeights);

/// The same question without changing anything: for diagnostics in the recipe's words before differentiation.
llvm::SmallVector<std::string> findUnreachedWeights(mlir::ModuleOp Stage);

} // namespace vcc::differentiate

#endif
