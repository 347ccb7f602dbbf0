// SPDX-License-Identifier: Apache-2.0
//
// The front as a whole: read, apply -D, check files, emit, verify.
#include "dsl/Dsl.h"
#include "dsl/emit/Emitter.h"
#include "dsl/grammar/Parse.h"
#include "dsl/types/Files.h"
#include "mlir/IR/Verifier.h"

using namespace vcc::syntax;

namespace vcc::dsl {

/// Replaces the values of the recipe's consts by those of -D.
static void applyDefines(const names::ModuleInfo &Main, const Options &Options, diag::Engine &Engine) {
  for (auto &[Name, Text] : Options.Defines) {
    std::string Source = "-D " + Name;
    ExprPtr Value = grammar::parseExpression(Source, Text, Engine);
    std::vector<std::string> Known;
    ConstDecl *Found = nullptr;
    for (const DeclPtr &D : Main.Tree->Declarations)
      if (auto *Const = llvm::dyn_cast<ConstDecl>(D.get())) {
        Known.push_back(Const->Name.Text);
        if (Const->Name.Text == Name)
          Found = Const;
      }
    if (!Found) {
      auto Made = Engine.report(diag::kinds::DefineNamesNoConst, {Main.File}, Name);
      if (!Known.empty())
        Made.note("its consts are " + diag::list(Known, 8));
      Made.didYouMean(Name, Known);
    } else if (Value) {
      Found->Value = std::move(Value);
    }
  }
}

mlir::OwningOpRef<mlir::ModuleOp> compileToVcs(mlir::MLIRContext &Context, const Options &Options, diag::Engine &Engine) {
  Context.loadDialect<vcs::VcsDialect>();
  names::Program Program = names::loadProgram(Options.File, Options.StdlibDir, Engine);
  if (!Program.Main)
    return nullptr;
  applyDefines(*Program.Main, Options, Engine);
  types::checkFiles(*Program.Main->Tree, Options.DataDir, Options.WeightsDir, Engine);
  mlir::OwningOpRef<mlir::ModuleOp> Module = mlir::ModuleOp::create(mlir::FileLineColLoc::get(&Context, Options.File, 1, 1));
  emit::Emitter Emitter(Context, Program, Engine, *Module);
  for (const auto &Info : Program.Modules)
    Emitter.module(*Info);
  if (Engine.hasErrors())
    return nullptr;
  if (mlir::failed(mlir::verify(*Module)))
    llvm::report_fatal_error("the front emitted a module that does not verify");
  return Module;
}

} // namespace vcc::dsl
