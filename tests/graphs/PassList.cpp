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
    std::string text;
    llvm::raw_string_ostream stream(text);
    each.printAsTextualPipeline(stream);
    passes.push_back({stage + each.getArgument().str(), [text](OpPassManager &manager) {
                        if (failed(parsePassPipeline(text, manager)))
                          llvm::report_fatal_error(llvm::Twine("no such pass: ") + text);
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

std::vector<NamedPass> graphs::passesOnTg(bool segments, Narrow narrow, size_t &gradients) {
  std::vector<NamedPass> passes;
  addEach(passes, "", differentiate::buildSimplifyPipeline);
  if (narrow != Narrow::None)
    addEach(passes, "narrow ", [&](OpPassManager &manager) { precision::buildNarrowPipeline(manager, narrow == Narrow::F16); });
  gradients = passes.size();
  passes.push_back({"tg-differentiate", [](OpPassManager &manager) {
                      manager.addPass(differentiate::createDifferentiatePass());
                    }});
  addEach(passes, "second ", differentiate::buildSimplifyPipeline);
  if (narrow != Narrow::None)
    addEach(passes, "gradients ", precision::buildKeepGradientsPipeline);
  if (segments)
    addEach(passes, "recompute ", recompute::buildRecomputePipeline);
  // Operands of libraries are narrow on a GPU alone.
  auto options = narrow != Narrow::None ? fuse::FuseOptions::cuda() : fuse::FuseOptions();
  addEach(passes, "", [&](OpPassManager &manager) { fuse::buildFusePipeline(manager, options); });
  return passes;
}

std::vector<std::string> graphs::passesThatChange() {
  registerPasses();
  std::vector<std::string> names;
  size_t gradients = 0;
  for (Narrow narrow : {Narrow::None, Narrow::BF16})
    for (const NamedPass &pass : passesOnTg(/*segments=*/true, narrow, gradients))
      if (std::string name = changedBy(pass.name); StringRef(pass.name).contains("tg-") && !llvm::is_contained(names, name))
        names.push_back(name);
  return names;
}
