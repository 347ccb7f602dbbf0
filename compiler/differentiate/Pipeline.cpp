// SPDX-License-Identifier: Apache-2.0
//
// Registration of this step's pass, and the simplification that every step on tg runs before and after.
#include "compiler/differentiate/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace vcc::differentiate {
#define GEN_PASS_REGISTRATION
#include "compiler/differentiate/Passes.h.inc"
} // namespace vcc::differentiate

void vcc::differentiate::buildSimplifyPipeline(OpPassManager &Passes) {
  Passes.addPass(createCanonicalizerPass());
  Passes.addPass(createCSEPass());
}

void vcc::differentiate::registerDifferentiatePasses() {
  registerDifferentiatePass();
  PassPipelineRegistration<>("tg-simplify", "canonicalise, drop dead code, share common subexpressions",
                             buildSimplifyPipeline);
}
