// SPDX-License-Identifier: Apache-2.0
//
// Registration of this step's pass, and the order in which it and its cleaning up run.
#include "compiler/recompute/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace vcc::recompute {
#define GEN_PASS_REGISTRATION
#include "compiler/recompute/Passes.h.inc"
} // namespace vcc::recompute

void vcc::recompute::buildRecomputePipeline(OpPassManager &passes) {
  passes.addPass(createRecomputeSegmentsPass());
  // Borders held apart what is equal on both sides of them.
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

void vcc::recompute::registerRecomputePasses() {
  registerRecomputeSegmentsPass();
  PassPipelineRegistration<>("tg-recompute", "compute segments again before their backward, and simplify",
                             buildRecomputePipeline);
}
