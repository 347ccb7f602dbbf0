// SPDX-License-Identifier: Apache-2.0
#include "tests/graphs/PassList.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "compiler/precision/Passes.h"
#include "compiler/recompute/Passes.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

/// A pipeline as its passes, one at a time.
static void addEach(std::vector<NamedPass> &passes, const std::string &stage, llvm::function_ref<void(OpPassManager &)> build) {
  OpPassManager whole(ModuleOp::getOperationName());
  build(whole);
  for (Pass &each : whole.getPasses()) {
    std::string flag = each.getArgument().str();
    passes.push_back({stage + flag, [flag](OpPassManager &manager) {
                        if (failed(parsePassPipeline(flag, manager)))
                          llvm::report_fatal_error(llvm::Twine("no such pass: ") + flag);
                      }});
  }
}

void graphs::registerPasses() {
  static bool registered = [] {
    fuse::registerFuse();
    precision::registerPrecisionPasses();
    recompute::registerRecomputePasses();
    registerCSEPass();
    registerCanonicalizerPass();
    return true;
  }();
  (void)registered;
}

std::string graphs::changedBy(const std::string &pass) { return "changed by " + pass; }

std::vector<NamedPass> graphs::passesOnTg(bool segments, bool narrow, size_t &gradients) {
  std::vector<NamedPass> passes;
  addEach(passes, "", differentiate::buildSimplifyPipeline);
  if (narrow)
    addEach(passes, "narrow ", precision::buildNarrowPipeline);
  gradients = passes.size();
  passes.push_back({"tg-differentiate", [](OpPassManager &manager) {
                      manager.addPass(differentiate::createDifferentiatePass());
                    }});
  addEach(passes, "second ", differentiate::buildSimplifyPipeline);
  if (narrow)
    addEach(passes, "gradients ", precision::buildKeepGradientsPipeline);
  if (segments)
    addEach(passes, "recompute ", recompute::buildRecomputePipeline);
  addEach(passes, "", [](OpPassManager &manager) { fuse::buildFusePipeline(manager); });
  return passes;
}

std::vector<std::string> graphs::passesThatChange() {
  registerPasses();
  std::vector<std::string> names;
  size_t gradients = 0;
  for (const NamedPass &pass : passesOnTg(/*segments=*/true, /*narrow=*/true, gradients))
    if (StringRef(pass.name).contains("tg-"))
      names.push_back(changedBy(pass.name));
  return names;
}
