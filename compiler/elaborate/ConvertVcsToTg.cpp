// SPDX-License-Identifier: Apache-2.0
//
// The elaborate step as a pass: diagnostics of the recipe become errors of the pass.
#include "compiler/elaborate/Elaborate.h"
#include "compiler/elaborate/Passes.h"
#include "dialects/tg/Tg.h"
#include "dialects/vcs/Vcs.h"

namespace vcc::elaborate {

#define GEN_PASS_DEF_CONVERTVCSTOTGPASS
#include "compiler/elaborate/Passes.h.inc"

static mlir::Location locationOf(mlir::MLIRContext *context, const diag::SourceRange &range) {
  if (!range.isKnown())
    return mlir::UnknownLoc::get(context);
  return mlir::FileLineColLoc::get(context, range.File, range.Line, range.Column);
}

namespace {
struct ConvertVcsToTg : impl::ConvertVcsToTgPassBase<ConvertVcsToTg> {
  using ConvertVcsToTgPassBase::ConvertVcsToTgPassBase;

  void runOnOperation() override {
    mlir::ModuleOp program = getOperation();
    diag::Engine engine;
    auto recipe = elaborate(program, engine, {});
    for (const diag::Diagnostic &found : engine.diagnostics()) {
      auto error = mlir::emitError(locationOf(&getContext(), found.Primary.Range))
                   << found.Kind->Code << ": " << found.Message;
      if (!found.Primary.Text.empty())
        error << " (" << found.Primary.Text << ")";
      for (const diag::Note &note : found.Notes)
        error.attachNote(locationOf(&getContext(), note.Range)) << note.Text;
      for (const std::string &help : found.Help)
        error.attachNote(locationOf(&getContext(), found.Primary.Range)) << "help: " << help;
    }
    if (failed(recipe))
      return signalPassFailure();
    program.getBody()->clear();
    for (ElaboratedStage &stage : recipe->stages)
      program.getBody()->push_back(stage.module.release());
    if (manifest)
      program->setAttr("vcc.manifest",
                       mlir::StringAttr::get(&getContext(), recipe->manifest.dump()));
  }
};
} // namespace

} // namespace vcc::elaborate
