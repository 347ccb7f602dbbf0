// SPDX-License-Identifier: Apache-2.0
//
// The steps of code generation as passes.
#include "compiler/codegen/cuda/LowerKernels.h"
#include "compiler/codegen/cuda/Passes.h"
#include "compiler/codegen/cuda/Ptx.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace vcc::cuda {

#define GEN_PASS_DEF_LOWERKERNELSPASS
#define GEN_PASS_DEF_EMITPTXPASS
#define GEN_PASS_DEF_PLANGRIDSPASS
#include "compiler/codegen/cuda/Passes.h.inc"

namespace {

/// A file may hold one stage, or a module for each.
SmallVector<ModuleOp> stagesOf(ModuleOp Module) {
  SmallVector<ModuleOp> Stages;
  Module.walk([&](ModuleOp Stage) { Stages.push_back(Stage); });
  return Stages;
}

struct PlanGrids : impl::PlanGridsPassBase<PlanGrids> {
  void runOnOperation() override {
    if (failed(planGrids(stagesOf(getOperation()))))
      signalPassFailure();
  }
};

struct LowerKernels : impl::LowerKernelsPassBase<LowerKernels> {
  void runOnOperation() override {
    OwningOpRef<ModuleOp> Kernels = lowerKernels(stagesOf(getOperation()));
    if (!Kernels)
      return signalPassFailure();
    getOperation().getBodyRegion().takeBody(Kernels->getBodyRegion());
    getOperation()->setAttrs((*Kernels)->getAttrs());
  }
};

struct EmitPtx : impl::EmitPtxPassBase<EmitPtx> {
  using EmitPtxPassBase::EmitPtxPassBase;
  void runOnOperation() override {
    auto Texts = emitPtx(getOperation(), 1);
    if (!Texts) {
      getOperation().emitError(llvm::toString(Texts.takeError()));
      return signalPassFailure();
    }
    std::error_code Code;
    llvm::raw_fd_ostream Stream(Ptx, Code);
    if (Code) {
      getOperation().emitError("cannot write `" + Ptx + "`: " + Code.message());
      return signalPassFailure();
    }
    for (const std::string &Text : *Texts)
      Stream << Text;
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace vcc::cuda
