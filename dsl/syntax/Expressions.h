// SPDX-License-Identifier: Apache-2.0
//
// The owned tree of expressions, statements and selectors. Every node knows where it stands; nothing here knows the parser.
#ifndef VCC_DSL_SYNTAX_EXPRESSIONS_H
#define VCC_DSL_SYNTAX_EXPRESSIONS_H

#include "dsl/diag/Source.h"
#include "llvm/Support/Casting.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vcc::syntax {

using diag::SourceRange;

/// A name and where it was written.
struct Ident {
  std::string Text;
  SourceRange Range;
};

//===------------------------------------------------------------------------------------------------------------------------------===//
// Expressions
//===------------------------------------------------------------------------------------------------------------------------------===//

enum class ExprKind {
  Int, Float, String, Bool, None, Name, Member, Index, Slice, Ellipsis, Call, Unary, Binary, Logical, List, Tuple, Range,
  Conditional, Comprehension, Phrase
};

struct Expr {
  Expr(ExprKind Kind, SourceRange Range) : Kind(Kind), Range(std::move(Range)) {}
  virtual ~Expr() = default;
  const ExprKind Kind;
  SourceRange Range;
};
using ExprPtr = std::unique_ptr<Expr>;

template <ExprKind K> struct ExprOf : Expr {
  explicit ExprOf(SourceRange Range) : Expr(K, std::move(Range)) {}
  static bool classof(const Expr *E) { return E->Kind == K; }
};

/// The unit words of the language, already scaled: minutes are seconds, GB are bytes.
enum class Unit { Steps, Epochs, Percent, Bytes, Seconds };

struct IntExpr : ExprOf<ExprKind::Int> {
  using ExprOf::ExprOf;
  int64_t Value = 0;
  std::optional<Unit> In;
};
struct FloatExpr : ExprOf<ExprKind::Float> {
  using ExprOf::ExprOf;
  double Value = 0;
  std::optional<Unit> In;
};
struct StringExpr : ExprOf<ExprKind::String> {
  using ExprOf::ExprOf;
  std::string Value;
};
struct BoolExpr : ExprOf<ExprKind::Bool> {
  using ExprOf::ExprOf;
  bool Value = false;
};
struct NoneExpr : ExprOf<ExprKind::None> {
  using ExprOf::ExprOf;
};
struct NameExpr : ExprOf<ExprKind::Name> {
  using ExprOf::ExprOf;
  std::string Name;
};
struct MemberExpr : ExprOf<ExprKind::Member> {
  using ExprOf::ExprOf;
  ExprPtr Object;
  Ident Name;
};
/// `a:b:c` inside brackets; what is absent is open.
struct SliceExpr : ExprOf<ExprKind::Slice> {
  using ExprOf::ExprOf;
  ExprPtr Start, Stop, Step;
};
struct EllipsisExpr : ExprOf<ExprKind::Ellipsis> {
  using ExprOf::ExprOf;
};
struct IndexExpr : ExprOf<ExprKind::Index> {
  using ExprOf::ExprOf;
  ExprPtr Object;
  std::vector<ExprPtr> Items;
};
struct Argument {
  std::optional<Ident> Name;
  ExprPtr Value;
};
struct CallExpr : ExprOf<ExprKind::Call> {
  using ExprOf::ExprOf;
  ExprPtr Callee;
  std::vector<Argument> Arguments;
};
enum class UnaryOperator { Neg, Not };
struct UnaryExpr : ExprOf<ExprKind::Unary> {
  using ExprOf::ExprOf;
  UnaryOperator Operator = UnaryOperator::Neg;
  ExprPtr Operand;
};
enum class BinaryOperator { Add, Sub, Mul, Div, FloorDiv, Mod, Pow, Eq, Ne, Lt, Le, Gt, Ge };
struct BinaryExpr : ExprOf<ExprKind::Binary> {
  using ExprOf::ExprOf;
  BinaryOperator Operator = BinaryOperator::Add;
  ExprPtr Left, Right;
};
struct LogicalExpr : ExprOf<ExprKind::Logical> {
  using ExprOf::ExprOf;
  bool And = true;
  ExprPtr Left, Right;
};
struct ListExpr : ExprOf<ExprKind::List> {
  using ExprOf::ExprOf;
  std::vector<ExprPtr> Elements;
};
struct TupleExpr : ExprOf<ExprKind::Tuple> {
  using ExprOf::ExprOf;
  std::vector<ExprPtr> Elements;
};
struct RangeExpr : ExprOf<ExprKind::Range> {
  using ExprOf::ExprOf;
  ExprPtr First, Last;
};
struct ConditionalExpr : ExprOf<ExprKind::Conditional> {
  using ExprOf::ExprOf;
  ExprPtr Then, Condition, Otherwise;
};
struct ComprehensionExpr : ExprOf<ExprKind::Comprehension> {
  using ExprOf::ExprOf;
  ExprPtr Body;
  std::vector<Ident> Targets;
  ExprPtr Sequence, Filter;
};
/// `mean over tokens of step`.
struct PhraseExpr : ExprOf<ExprKind::Phrase> {
  using ExprOf::ExprOf;
  std::string Text;
};

//===------------------------------------------------------------------------------------------------------------------------------===//
// Selectors
//===------------------------------------------------------------------------------------------------------------------------------===//

struct SelectorPath;

enum class StepKind { Name, Any, Index, Range, AllIndices, Alternatives };
struct SelectorStep {
  StepKind Kind = StepKind::Name;
  SourceRange Range;
  std::string Name;
  std::optional<int64_t> First, Last;
  std::vector<SelectorPath> Alternatives;
};
struct SelectorPath {
  std::vector<SelectorStep> Steps;
  SourceRange Range;
};
struct Selector {
  SelectorPath Path;
  std::vector<SelectorPath> Except;
  SourceRange Range;
};

//===------------------------------------------------------------------------------------------------------------------------------===//
// Types in signatures
//===------------------------------------------------------------------------------------------------------------------------------===//

struct TypeRef {
  SourceRange Range;
  std::vector<Ident> Name;         // `int`, `umt.ViT`; the element type where there is a shape
  bool HasShape = false;
  std::vector<ExprPtr> Dims;       // an EllipsisExpr is `..`
};
struct Param {
  Ident Name;
  std::optional<TypeRef> Type;
  ExprPtr Default;
};

//===------------------------------------------------------------------------------------------------------------------------------===//
// Statements
//===------------------------------------------------------------------------------------------------------------------------------===//

enum class StmtKind { Let, Assign, Return, If, For, Expression, Term };

struct Stmt {
  Stmt(StmtKind Kind, SourceRange Range) : Kind(Kind), Range(std::move(Range)) {}
  virtual ~Stmt() = default;
  const StmtKind Kind;
  SourceRange Range;
};
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

template <StmtKind K> struct StmtOf : Stmt {
  explicit StmtOf(SourceRange Range) : Stmt(K, std::move(Range)) {}
  static bool classof(const Stmt *S) { return S->Kind == K; }
};
/// `let x = e`, `let (a, b) = e`.
struct LetStmt : StmtOf<StmtKind::Let> {
  using StmtOf::StmtOf;
  std::vector<Ident> Names;
  ExprPtr Value;
};
struct AssignStmt : StmtOf<StmtKind::Assign> {
  using StmtOf::StmtOf;
  std::vector<Ident> Names;
  ExprPtr Value;
};
struct ReturnStmt : StmtOf<StmtKind::Return> {
  using StmtOf::StmtOf;
  ExprPtr Value;
};
struct IfStmt : StmtOf<StmtKind::If> {
  using StmtOf::StmtOf;
  ExprPtr Condition;
  Body Then, Otherwise;
};
struct ForStmt : StmtOf<StmtKind::For> {
  using StmtOf::StmtOf;
  std::vector<Ident> Targets;
  ExprPtr Sequence;
  Body Inner;
};
struct ExpressionStmt : StmtOf<StmtKind::Expression> {
  using StmtOf::StmtOf;
  ExprPtr Value;
};
/// `cap: e` in a loss.
struct TermStmt : StmtOf<StmtKind::Term> {
  using StmtOf::StmtOf;
  Ident Name;
  ExprPtr Value;
};

} // namespace vcc::syntax

#endif
