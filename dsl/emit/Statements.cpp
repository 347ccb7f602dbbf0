// SPDX-License-Identifier: Apache-2.0
//
// Statements to ops. Locals are values, so what a branch or loop assigns becomes its result; a `return` inside an `if` turns the
// statements after it into the other side.
#include "dsl/emit/Emitter.h"

using namespace vcc::syntax;

namespace vcc::emit {

// A `return` on one side only repeats what follows on both; this many statements is more than any function needs.
static constexpr unsigned MostStatements = 20000;

static bool returns(const Body &Statements);

static bool returns(const Stmt &S) {
  if (auto *If = llvm::dyn_cast<IfStmt>(&S))
    return returns(If->Then) || returns(If->Otherwise);
  return llvm::isa<ReturnStmt>(S);
}

static bool returns(const Body &Statements) {
  return llvm::any_of(Statements, [](const StmtPtr &S) { return returns(*S); });
}

void Emitter::functionBody(const FnDecl &Fn) {
  mlir::Value Result = tail({{&Fn.Statements, 0, Scopes.size()}}, Fn);
  Builder.create<vcs::ReturnOp>(Result.getLoc(), Result);
}

bool Emitter::tooManyStatements(const diag::SourceRange &Range) {
  if (++EmittedStatements == MostStatements)
    Engine.report(diag::kinds::EvaluationTooLong, Range, "this function", std::to_string(MostStatements) + " statements");
  return EmittedStatements >= MostStatements;
}

mlir::Value Emitter::tail(std::vector<Remaining> Rest, const FnDecl &Fn) {
  while (!Rest.empty()) {
    if (tooManyStatements(Fn.Name.Range))
      return none(loc(Fn.Name.Range));
    Remaining &Here = Rest.back();
    if (Scopes.size() > Here.ScopeDepth)
      Scopes.resize(Here.ScopeDepth);
    if (Here.Next == Here.Statements->size()) {
      Rest.pop_back();
      continue;
    }
    const Stmt &S = *(*Here.Statements)[Here.Next++];
    if (auto *Return = llvm::dyn_cast<ReturnStmt>(&S))
      return value(*Return->Value);
    if (returns(S))
      return tailIf(llvm::cast<IfStmt>(S), Rest, Fn);
    statement(S);
  }
  Engine.report(diag::kinds::MissingReturn, Fn.Name.Range, Fn.Name.Text)
      .help("end it with `return`, in every branch that returns nothing yet");
  return none(loc(Fn.Name.Range));
}

mlir::Value Emitter::tailIf(const IfStmt &If, const std::vector<Remaining> &Rest, const FnDecl &Fn) {
  mlir::Value Condition = value(*If.Condition);
  auto Op = Builder.create<vcs::IfOp>(loc(If.Range), mlir::TypeRange{vcs::ValueType::get(&Context)}, Condition);
  auto Side = [&](mlir::Region &Region, const Body &Statements) {
    std::vector<Scope> Saved = Scopes;
    Scopes.emplace_back();
    std::vector<Remaining> More = Rest;
    More.push_back({&Statements, 0, Scopes.size()});
    yields(Region, If.Range, [&] { return mlir::SmallVector<mlir::Value>{tail(More, Fn)}; });
    Scopes = std::move(Saved);
  };
  Side(Op.getThen(), If.Then);
  Side(Op.getOtherwise(), If.Otherwise);
  return Op.getResult(0);
}

void Emitter::statements(const Body &Statements) {
  for (const StmtPtr &S : Statements)
    statement(*S);
}

void Emitter::statement(const Stmt &S) {
  if (tooManyStatements(S.Range))
    return;
  switch (S.Kind) {
  case StmtKind::Let: {
    auto &Let = llvm::cast<LetStmt>(S);
    return let(Let.Names, value(*Let.Value), false, Let.Range);
  }
  case StmtKind::Assign: {
    auto &Assign = llvm::cast<AssignStmt>(S);
    return let(Assign.Names, value(*Assign.Value), true, Assign.Range);
  }
  case StmtKind::Return:
    Engine.report(diag::kinds::NotSupportedYet, S.Range, InLoss ? "`return` in a loss" : "`return` inside `for`")
        .help(InLoss ? "a loss is its named terms" : "assign to a variable that was made before the loop, and return that");
    return;
  case StmtKind::If: return ifStatement(llvm::cast<IfStmt>(S));
  case StmtKind::For: return forStatement(llvm::cast<ForStmt>(S));
  case StmtKind::Expression:
    value(*llvm::cast<ExpressionStmt>(S).Value);
    return;
  case StmtKind::Term: {
    auto &Term = llvm::cast<TermStmt>(S);
    mlir::Operation *Parent = Builder.getInsertionBlock()->getParentOp();
    if (!InLoss || !llvm::isa<vcs::LossOp>(Parent)) {
      Engine.report(diag::kinds::SyntaxError, Term.Name.Range, "a named term stands outside of the top of a `loss`");
      return;
    }
    mlir::Value Value = value(*Term.Value);
    Builder.create<vcs::TermOp>(loc(Term.Range), Term.Name.Text, Value);
    return;
  }
  }
}

void Emitter::let(const std::vector<Ident> &Names, mlir::Value Value, bool Assign, const diag::SourceRange &Range) {
  for (size_t I = 0; I < Names.size(); ++I) {
    mlir::Value Part = Value;
    if (Names.size() > 1) {
      mlir::Value Position = literal(loc(Names[I].Range), Builder.getI64IntegerAttr(I));
      Part = Builder.create<vcs::IndexOp>(loc(Range), Value, mlir::ValueRange{Position});
    }
    if (!Assign) {
      Scopes.back()[Names[I].Text] = {Entry::Local, Part};
    } else if (Entry *Local = lookupLocal(Names[I].Text)) {
      Local->Value = Part;
    } else {
      std::vector<std::string> Locals;
      for (const Scope &Scope : Scopes)
        for (auto &[Name, Entry] : Scope)
          if (Entry.Means == Entry::Local)
            Locals.push_back(Name);
      Engine.report(diag::kinds::BadAssignment, Names[I].Range, Names[I].Text)
          .help("write `let " + Names[I].Text + " = ...` to make one")
          .didYouMean(Names[I].Text, Locals);
    }
  }
}

static void collectAssigned(const Body &Statements, std::set<std::string> Own, std::vector<std::string> &Into) {
  for (const StmtPtr &S : Statements) {
    if (auto *Let = llvm::dyn_cast<LetStmt>(S.get()))
      for (const Ident &Name : Let->Names)
        Own.insert(Name.Text);
    if (auto *Assign = llvm::dyn_cast<AssignStmt>(S.get()))
      for (const Ident &Name : Assign->Names)
        if (!Own.count(Name.Text) && !llvm::is_contained(Into, Name.Text))
          Into.push_back(Name.Text);
    if (auto *If = llvm::dyn_cast<IfStmt>(S.get())) {
      collectAssigned(If->Then, Own, Into);
      collectAssigned(If->Otherwise, Own, Into);
    }
    if (auto *For = llvm::dyn_cast<ForStmt>(S.get())) {
      std::set<std::string> Inner = Own;
      for (const Ident &Target : For->Targets)
        Inner.insert(Target.Text);
      collectAssigned(For->Inner, Inner, Into);
    }
  }
}

std::vector<std::string> Emitter::assignedOutside(const std::vector<const Body *> &Bodies) {
  std::vector<std::string> Names;
  for (const Body *Statements : Bodies)
    collectAssigned(*Statements, {}, Names);
  llvm::erase_if(Names, [&](const std::string &Name) { return !lookupLocal(Name); });
  return Names;
}

void Emitter::ifStatement(const IfStmt &S) {
  mlir::Value Condition = value(*S.Condition);
  std::vector<std::string> Assigned = assignedOutside({&S.Then, &S.Otherwise});
  mlir::SmallVector<mlir::Type> Types(Assigned.size(), vcs::ValueType::get(&Context));
  auto Op = Builder.create<vcs::IfOp>(loc(S.Range), Types, Condition);
  auto Side = [&](mlir::Region &Region, const Body &Statements) {
    std::vector<Scope> Saved = Scopes;
    Scopes.emplace_back();
    yields(Region, S.Range, [&] {
      statements(Statements);
      Scopes.resize(Saved.size());
      mlir::SmallVector<mlir::Value> Values;
      for (const std::string &Name : Assigned)
        Values.push_back(lookupLocal(Name)->Value);
      return Values;
    });
    Scopes = std::move(Saved);
  };
  Side(Op.getThen(), S.Then);
  Side(Op.getOtherwise(), S.Otherwise);
  for (auto [Name, Result] : llvm::zip(Assigned, Op.getResults()))
    lookupLocal(Name)->Value = Result;
}

void Emitter::forStatement(const ForStmt &S) {
  mlir::Value Sequence = value(*S.Sequence);
  std::vector<std::string> Assigned = assignedOutside({&S.Inner});
  llvm::erase_if(Assigned, [&](const std::string &Name) {
    return llvm::any_of(S.Targets, [&](const Ident &Target) { return Target.Text == Name; });
  });
  mlir::SmallVector<mlir::Value> Carried;
  for (const std::string &Name : Assigned)
    Carried.push_back(lookupLocal(Name)->Value);
  mlir::Type Value = vcs::ValueType::get(&Context);
  mlir::SmallVector<mlir::Type> Types(Assigned.size(), Value);
  auto Op = Builder.create<vcs::ForOp>(loc(S.Range), Types, Sequence, S.Targets.size(), Carried);
  std::vector<Scope> Saved = Scopes;
  {
    mlir::OpBuilder::InsertionGuard Guard(Builder);
    mlir::Block *Block = Builder.createBlock(&Op.getBody());
    Scope Names = bindTargets(S.Targets, *Block);
    for (const std::string &Name : Assigned)
      lookupLocal(Name)->Value = Block->addArgument(Value, loc(S.Range));
    Scopes.push_back(std::move(Names));
    Scopes.emplace_back();
    statements(S.Inner);
    mlir::SmallVector<mlir::Value> Values;
    Scopes.resize(Saved.size());
    for (const std::string &Name : Assigned)
      Values.push_back(lookupLocal(Name)->Value);
    Builder.create<vcs::YieldOp>(loc(S.Range), Values);
  }
  Scopes = std::move(Saved);
  for (auto [Name, Result] : llvm::zip(Assigned, Op.getResults()))
    lookupLocal(Name)->Value = Result;
}

} // namespace vcc::emit
