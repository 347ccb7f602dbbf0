// SPDX-License-Identifier: Apache-2.0
//
// The check of a call's arguments against the callee's parameters.
#include "dsl/types/Calls.h"

#include "dsl/names/Program.h"

#include <set>

using namespace vcc::syntax;

namespace vcc::types {

const std::vector<Param> *paramsOf(const Decl &Declaration) {
  switch (Declaration.Kind) {
  case DeclKind::Struct: return &llvm::cast<StructDecl>(Declaration).Fields;
  case DeclKind::Layer: return &llvm::cast<LayerDecl>(Declaration).Params;
  case DeclKind::Fn: return &llvm::cast<FnDecl>(Declaration).Params;
  case DeclKind::Op: return &llvm::cast<OpDecl>(Declaration).Params;
  case DeclKind::DatasetFormat: return &llvm::cast<DatasetFormatDecl>(Declaration).Params;
  default: return nullptr;
  }
}

namespace {

class CallCheck {
public:
  CallCheck(const CallExpr &Call, const Decl &Callee, const std::vector<Param> &Params, diag::Engine &Engine)
      : Call(Call), Callee(Callee), Params(Params), Engine(Engine),
        Subject(std::string(names::describe(Callee.Kind)) + " `" + Callee.Name.Text + "`") {}

  void run() {
    size_t Position = 0;
    bool Named = false;
    for (const Argument &A : Call.Arguments) {
      if (A.Name) {
        Named = true;
        named(A);
        continue;
      }
      if (Named) {
        Engine.report(diag::kinds::SyntaxError, A.Value->Range, "an argument by position stands after one by name");
        return;
      }
      positional(A, Position++);
    }
    for (const Param &P : Params)
      if (!P.Default && !Given.count(P.Name.Text) && Position <= Params.size())
        Engine.report(diag::kinds::MissingArgument, Call.Range, Subject, P.Name.Text)
            .label(P.Name.Range, "declared here without a default");
  }

private:
  void positional(const Argument &A, size_t Position) {
    if (Position < Params.size()) {
      Given.emplace(Params[Position].Name.Text);
      return;
    }
    if (Position != Params.size())
      return; // said once
    size_t Count = 0;
    for (const Argument &Each : Call.Arguments)
      Count += !Each.Name;
    Engine
        .report(diag::kinds::TooManyArguments, A.Value->Range, Subject, diag::plural(Params.size(), "argument"),
                std::to_string(Count) + (Count == 1 ? " is" : " are"))
        .label(Callee.Name.Range, "declared here");
  }

  void named(const Argument &A) {
    std::vector<std::string> Known;
    for (const Param &P : Params)
      Known.push_back(P.Name.Text);
    if (std::find(Known.begin(), Known.end(), A.Name->Text) == Known.end()) {
      auto Made = Engine.report(diag::kinds::UnknownArgument, A.Name->Range, Subject, A.Name->Text);
      if (!Known.empty())
        Made.note(Callee.Name.Range, "declares " + diag::list(Known, 12));
      Made.didYouMean(A.Name->Text, Known);
    } else if (!Given.insert(A.Name->Text).second) {
      Engine.report(diag::kinds::DuplicateArgument, A.Name->Range, A.Name->Text);
    }
  }

  const CallExpr &Call;
  const Decl &Callee;
  const std::vector<Param> &Params;
  diag::Engine &Engine;
  std::string Subject;
  std::set<std::string> Given;
};

/// Operations that take a list of values by position as well (`max(a, b, c)`).
bool takesAnyNumber(const Decl &Callee) {
  return Callee.Kind == DeclKind::Op &&
         (Callee.Name.Text == "min" || Callee.Name.Text == "max" || Callee.Name.Text == "zip" || Callee.Name.Text == "range");
}

} // namespace

void checkCall(const CallExpr &Call, const Decl &Callee, diag::Engine &Engine) {
  if (takesAnyNumber(Callee))
    return;
  if (const std::vector<Param> *Params = paramsOf(Callee)) {
    CallCheck(Call, Callee, *Params, Engine).run();
    return;
  }
  Engine
      .report(diag::kinds::WrongDeclaration, Call.Callee->Range, Callee.Name.Text,
              diag::withArticle(names::describe(Callee.Kind)), "a function, layer or struct")
      .label(Callee.Name.Range, "declared here");
}

} // namespace vcc::types
