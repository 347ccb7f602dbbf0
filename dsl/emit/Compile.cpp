// SPDX-License-Identifier: Apache-2.0
//
// The front as a whole: read, apply -D, check files, emit, verify.
#include "dsl/Dsl.h"
#include "dsl/emit/Emitter.h"
#include "dsl/grammar/Parse.h"
#include "dsl/types/Files.h"
#include "dsl/types/Keys.h"
#include "mlir/IR/Verifier.h"

using namespace vcc::syntax;

namespace vcc::dsl {

/// The consts that -D may replace: those of the recipe and those that it imports by name.
static std::map<std::string, ConstDecl *> constsOf(const names::Program &Program) {
  std::map<std::string, ConstDecl *> Consts;
  for (auto &[Name, Meaning] : Program.Main->Names)
    for (const auto &Info : Program.Modules)
      for (const DeclPtr &D : Info->Tree->Declarations)
        if (Meaning.Module == Info.get() && Meaning.Declaration == D.get())
          if (auto *Const = llvm::dyn_cast<ConstDecl>(D.get()))
            Consts[Name] = Const;
  return Consts;
}

/// Replaces the values of the recipe's consts by those of -D.
static void applyDefines(const names::Program &Program, const Options &Options, diag::Engine &Engine) {
  std::map<std::string, ConstDecl *> Consts = constsOf(Program);
  for (auto &[Name, Text] : Options.Defines) {
    std::string Source = "-D " + Name;
    ExprPtr Value = grammar::parseExpression(Source, Text, Engine);
    auto Found = Consts.find(Name);
    if (Found == Consts.end()) {
      std::vector<std::string> Known;
      for (auto &[Other, Const] : Consts)
        Known.push_back(Other);
      auto Made = Engine.report(diag::kinds::DefineNamesNoConst, {Program.Main->File}, Name);
      if (!Known.empty())
        Made.note("its consts are " + diag::list(Known, 8));
      Made.didYouMean(Name, Known);
    } else if (Value) {
      Found->second->Value = std::move(Value);
    }
  }
}

mlir::OwningOpRef<mlir::ModuleOp> compileToVcs(mlir::MLIRContext &Context, const Options &Options, diag::Engine &Engine) {
  Context.loadDialect<vcs::VcsDialect>();
  names::Program Program = names::loadProgram(Options.File, Options.StdlibDir, Engine, types::placesOfKey);
  if (!Program.Main)
    return nullptr;
  applyDefines(Program, Options, Engine);
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
