// SPDX-License-Identifier: Apache-2.0
//
// The order of the fusion passes.
#include "compiler/fuse/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void vcc::fuse::buildFusePipeline(OpPassManager &manager, const FuseOptions &options) {
  if (options.split == Attentions::Unsupported)
    manager.addPass(createSeparateSamplesPass());
  manager.addPass(createSplitCompositesPass({/*attention=*/options.split}));
  if (options.joinLowRank) {
    manager.addPass(createStackFactorsPass());
    manager.addPass(createJoinLowRankPass());
  }
  manager.addPass(createFoldTransposesPass());
  manager.addPass(createCSEPass());
  manager.addPass(createConvertContractionsPass());
  if (options.activations)
    manager.addPass(createFoldActivationsPass());
  manager.addPass(createMaterializeViewsPass());
  manager.addPass(createOutlineKernelsPass());
  manager.addPass(createJoinSumsPass());
}

void vcc::fuse::registerFuse() {
  registerfusePasses();
  PassPipelineRegistration<>("tg-fuse", "from the graph to kernels and library operations",
                             [](OpPassManager &manager) { buildFusePipeline(manager); });
  PassPipelineRegistration<>("tg-fuse-cuda", "tg-fuse for what the libraries of --target=cuda can do",
                             [](OpPassManager &manager) { buildFusePipeline(manager, FuseOptions::cuda()); });
  PassPipelineRegistration<>("tg-fuse-cuda-split", "tg-fuse-cuda without calls for attention",
                             [](OpPassManager &manager) { buildFusePipeline(manager, FuseOptions::cuda(Attentions::All)); });
}
