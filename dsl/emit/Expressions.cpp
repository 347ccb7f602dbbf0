// SPDX-License-Identifier: Apache-2.0
//
// Expressions to ops.
#include "dsl/emit/Emitter.h"
#include "dsl/types/Calls.h"

using namespace vcc::syntax;

namespace vcc::emit {

mlir::Value Emitter::literal(mlir::Location Loc, mlir::Attribute Value, std::optional<Unit> In) {
  vcs::UnitAttr UnitAttr;
  if (In)
    UnitAttr = vcs::UnitAttr::get(&Context, static_cast<vcs::Unit>(*In));
  return Builder.create<vcs::LiteralOp>(Loc, vcs::ValueType::get(&Context), Value, UnitAttr);
}

mlir::Value Emitter::none(mlir::Location Loc) { return literal(Loc, Builder.getUnitAttr()); }

mlir::SmallVector<mlir::Value> Emitter::values(const std::vector<ExprPtr> &Es) {
  mlir::SmallVector<mlir::Value> Values;
  for (const ExprPtr &E : Es)
    Values.push_back(value(*E));
  return Values;
}

mlir::Value Emitter::value(const Expr &E) {
  mlir::Location Loc = loc(E.Range);
  switch (E.Kind) {
  case ExprKind::Name: return nameValue(llvm::cast<NameExpr>(E));
  case ExprKind::Member: return member(llvm::cast<MemberExpr>(E));
  case ExprKind::Index: return index(llvm::cast<IndexExpr>(E));
  case ExprKind::Call: return call(llvm::cast<CallExpr>(E));
  case ExprKind::Binary: return binary(llvm::cast<BinaryExpr>(E));
  case ExprKind::Logical: return logical(llvm::cast<LogicalExpr>(E));
  case ExprKind::Conditional: return conditional(llvm::cast<ConditionalExpr>(E));
  case ExprKind::Comprehension: return comprehension(llvm::cast<ComprehensionExpr>(E));
  case ExprKind::List: return Builder.create<vcs::ListOp>(Loc, values(llvm::cast<ListExpr>(E).Elements));
  case ExprKind::Tuple: return Builder.create<vcs::TupleOp>(Loc, values(llvm::cast<TupleExpr>(E).Elements));
  case ExprKind::Range: {
    auto &Range = llvm::cast<RangeExpr>(E);
    mlir::Value First = value(*Range.First), Last = value(*Range.Last);
    return Builder.create<vcs::RangeOp>(Loc, First, Last);
  }
  case ExprKind::Unary: {
    auto &Unary = llvm::cast<UnaryExpr>(E);
    mlir::Value Operand = value(*Unary.Operand);
    return Builder.create<vcs::UnaryOp>(Loc, Unary.Operator == UnaryOperator::Neg ? vcs::Unary::Neg : vcs::Unary::Not, Operand);
  }
  default: return simple(E);
  }
}

mlir::Value Emitter::simple(const Expr &E) {
  mlir::Location Loc = loc(E.Range);
  switch (E.Kind) {
  case ExprKind::Int: return literal(Loc, Builder.getI64IntegerAttr(llvm::cast<IntExpr>(E).Value), llvm::cast<IntExpr>(E).In);
  case ExprKind::Float: return literal(Loc, Builder.getF64FloatAttr(llvm::cast<FloatExpr>(E).Value), llvm::cast<FloatExpr>(E).In);
  case ExprKind::String: return literal(Loc, Builder.getStringAttr(llvm::cast<StringExpr>(E).Value));
  case ExprKind::Bool: return literal(Loc, Builder.getBoolAttr(llvm::cast<BoolExpr>(E).Value));
  case ExprKind::Ellipsis: return Builder.create<vcs::EllipsisOp>(Loc);
  case ExprKind::Slice: {
    auto &Slice = llvm::cast<SliceExpr>(E);
    auto Optional = [&](const ExprPtr &Part) { return Part ? value(*Part) : mlir::Value(); };
    mlir::Value Start = Optional(Slice.Start), Stop = Optional(Slice.Stop), Step = Optional(Slice.Step);
    return Builder.create<vcs::SliceOp>(Loc, Start, Stop, Step);
  }
  case ExprKind::Phrase:
    Engine.report(diag::kinds::NotSupportedYet, E.Range, "`" + llvm::cast<PhraseExpr>(E).Text + "`");
    return none(Loc);
  default: return none(Loc);
  }
}

mlir::Value Emitter::member(const MemberExpr &E) {
  std::optional<names::Binding> Object = staticBinding(*E.Object);
  if (!Object || Object->Declaration) {
    mlir::Value From = value(*E.Object);
    return Builder.create<vcs::GetOp>(loc(E.Range), From, E.Name.Text);
  }
  if (std::optional<names::Binding> Found = staticBinding(E))
    return bindingValue(*Found, E);
  std::vector<std::string> Known;
  for (auto &[Name, Declaration] : Object->Module->Declarations)
    Known.push_back(Name);
  Engine.report(diag::kinds::UnknownName, E.Name.Range, "declaration of module `" + Object->Module->Name + "`", E.Name.Text)
      .primary("not declared in " + Object->Module->File)
      .didYouMean(E.Name.Text, Known);
  return none(loc(E.Range));
}

mlir::Value Emitter::index(const IndexExpr &E) {
  mlir::Value Object = value(*E.Object);
  return Builder.create<vcs::IndexOp>(loc(E.Range), Object, values(E.Items));
}

mlir::Value Emitter::call(const CallExpr &E) {
  std::optional<names::Binding> Callee = staticBinding(*E.Callee);
  if (Callee && Callee->Declaration)
    types::checkCall(E, *Callee->Declaration, Engine);
  mlir::Value Function = value(*E.Callee);
  mlir::SmallVector<mlir::Value> Arguments;
  std::vector<std::string> Names;
  bool Named = false;
  for (const Argument &A : E.Arguments) {
    if (Named && !A.Name) {
      if (!Callee || !Callee->Declaration)
        Engine.report(diag::kinds::SyntaxError, A.Value->Range, "an argument by position stands after one by name");
      break;
    }
    Named |= A.Name.has_value();
    Arguments.push_back(value(*A.Value));
    Names.push_back(A.Name ? A.Name->Text : "");
  }
  return Builder.create<vcs::CallOp>(loc(E.Range), Function, Arguments, strings(Names));
}

mlir::Value Emitter::binary(const BinaryExpr &E) {
  if (mlir::Value List = repetition(E))
    return List;
  mlir::Value Left = value(*E.Left), Right = value(*E.Right);
  return Builder.create<vcs::BinaryOp>(loc(E.Range), static_cast<vcs::Binary>(E.Operator), Left, Right);
}

mlir::Value Emitter::repetition(const BinaryExpr &E) {
  auto *Call = llvm::dyn_cast<CallExpr>(E.Left.get());
  if (E.Operator != BinaryOperator::Mul || !Call)
    return {};
  const Decl *Callee = declarationOf(*Call->Callee);
  if (!Callee || Callee->Kind != DeclKind::Layer)
    return {};
  mlir::Location Loc = loc(E.Range);
  mlir::Value Zero = literal(Loc, Builder.getI64IntegerAttr(0));
  mlir::Value Count = value(*E.Right);
  mlir::Value Range = Builder.create<vcs::RangeOp>(Loc, Zero, Count);
  auto List = Builder.create<vcs::ComprehensionOp>(Loc, Range);
  mlir::OpBuilder::InsertionGuard Guard(Builder);
  Builder.createBlock(&List.getBody(), {}, {vcs::ValueType::get(&Context)}, {Loc});
  mlir::Value Part = value(*E.Left);
  Builder.create<vcs::YieldOp>(Loc, Part);
  return List;
}

mlir::Value Emitter::logical(const LogicalExpr &E) {
  mlir::Value Left = value(*E.Left);
  auto Op = Builder.create<vcs::LogicalOp>(loc(E.Range), E.And ? vcs::Logical::And : vcs::Logical::Or, Left);
  yields(Op.getRhs(), *E.Right);
  return Op;
}

mlir::Value Emitter::conditional(const ConditionalExpr &E) {
  mlir::Value Condition = value(*E.Condition);
  auto Op = Builder.create<vcs::ConditionalOp>(loc(E.Range), Condition);
  yields(Op.getThen(), *E.Then);
  yields(Op.getOtherwise(), *E.Otherwise);
  return Op;
}

Scope Emitter::bindTargets(const std::vector<Ident> &Targets, mlir::Block &Block) {
  Scope Bound;
  for (const Ident &Target : Targets) {
    mlir::Value Argument = Block.addArgument(vcs::ValueType::get(&Context), loc(Target.Range));
    if (Target.Text != "_" && !Bound.emplace(Target.Text, Entry{Entry::Local, Argument}).second)
      Engine.report(diag::kinds::DuplicateName, Target.Range, Target.Text);
  }
  return Bound;
}

mlir::Value Emitter::comprehension(const ComprehensionExpr &E) {
  mlir::Value Sequence = value(*E.Sequence);
  auto Op = Builder.create<vcs::ComprehensionOp>(loc(E.Range), Sequence);
  auto Fill = [&](mlir::Region &Region, const Expr &Inner) {
    mlir::OpBuilder::InsertionGuard Guard(Builder);
    mlir::Block *Block = Builder.createBlock(&Region);
    ScopeGuard Names(Scopes, bindTargets(E.Targets, *Block));
    mlir::Value Result = value(Inner);
    Builder.create<vcs::YieldOp>(loc(Inner.Range), Result);
  };
  Fill(Op.getBody(), *E.Body);
  if (E.Filter)
    Fill(Op.getFilter(), *E.Filter);
  return Op;
}

mlir::Value Emitter::wordValue(const Expr &E) {
  std::string Text;
  const Expr *Part = &E;
  while (auto *Member = llvm::dyn_cast<MemberExpr>(Part)) {
    Text = "." + Member->Name.Text + Text;
    Part = Member->Object.get();
  }
  if (auto *Name = llvm::dyn_cast<NameExpr>(Part))
    return Builder.create<vcs::WordOp>(loc(E.Range), Name->Name + Text);
  if (auto *String = llvm::dyn_cast<StringExpr>(Part); String && Text.empty())
    return Builder.create<vcs::WordOp>(loc(E.Range), String->Value);
  if (llvm::isa<NoneExpr>(Part) && Text.empty())
    return Builder.create<vcs::WordOp>(loc(E.Range), "none");
  Engine.report(diag::kinds::WrongType, E.Range, "this", "an expression", "a word or the path of a field");
  return none(loc(E.Range));
}

} // namespace vcc::emit
