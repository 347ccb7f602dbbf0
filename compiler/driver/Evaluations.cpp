// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver/Evaluations.h"

#include "dialects/vcs/Locations.h"
#include "dialects/vcs/Vcs.h"
#include "runtime/data/EvaluationCheck.h"

namespace vcc::driver {

static diag::SourceRange rangeOf(mlir::Location loc) {
  vcs::SourceSpan span = vcs::spanOf(loc);
  return {span.File.str(), span.Line, span.Column, span.EndLine, span.EndColumn};
}

static diag::SourceRange placeOf(mlir::ModuleOp program, const std::string &stage, const std::string &evaluation) {
  diag::SourceRange place;
  program.walk([&](vcs::StageOp op) {
    if (op.getName() != stage)
      return;
    place = rangeOf(op.getLoc());
    op.walk([&](vcs::EvaluateOp clause) {
      if (clause.getName() == evaluation)
        place = rangeOf(clause.getLoc());
    });
  });
  return place;
}

void checkEvaluations(const elaborate::Json &manifest, mlir::ModuleOp program, const std::string &dataDir, diag::Engine &engine,
                      llvm::raw_ostream &err) {
  for (const auto &fault : runtime::data::checkEvaluations(manifest.dump(), dataDir)) {
    if (fault.ofMachine) {
      err << "warning: the records of evaluation `" << fault.evaluation << "` are not checked: " << fault.message << "\n";
      continue;
    }
    auto diagnostic = engine.report(diag::kinds::DataDoesNotFit, placeOf(program, fault.stage, fault.evaluation), fault.message);
    diagnostic.primary("evaluation `" + fault.evaluation + "` reads it");
    if (!fault.help.empty())
      diagnostic.help(fault.help);
  }
}

} // namespace vcc::driver
