// SPDX-License-Identifier: Apache-2.0
//
// Registration of this step's passes, and the order in which they and their cleaning up run.
#include "compiler/precision/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace vcc::precision {
#define GEN_PASS_REGISTRATION
#include "compiler/precision/Passes.h.inc"
} // namespace vcc::precision

/// Values that only their rounded form is read of are dead now; equal casts are one.
static void cleanUp(OpPassManager &passes) {
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

namespace {
struct NarrowOptions : PassPipelineOptions<NarrowOptions> {
  Option<bool> half{*this, "half", llvm::cl::desc("f16 in place of bf16"), llvm::cl::init(false)};
};
} // namespace

void vcc::precision::buildNarrowPipeline(OpPassManager &passes, bool half) {
  passes.addPass(createNarrowPrecisionPass({half}));
  cleanUp(passes);
}

void vcc::precision::buildKeepGradientsPipeline(OpPassManager &passes) {
  passes.addPass(createWidenGradientsPass());
  cleanUp(passes);
}

void vcc::precision::registerPrecisionPasses() {
  registerNarrowPrecisionPass();
  registerWidenGradientsPass();
  PassPipelineRegistration<NarrowOptions>(
      "tg-narrow", "bf16 or f16 where it is safe, and simplify",
      [](OpPassManager &passes, const NarrowOptions &options) { buildNarrowPipeline(passes, options.half); });
  PassPipelineRegistration<>("tg-keep-gradients", "gradients of weights in f32, and simplify", buildKeepGradientsPipeline);
}
