// SPDX-License-Identifier: Apache-2.0
//
// From the owned tree to the vcs dialect. Names are resolved here, on the way: to locals, parameters, members of self, components,
// inputs of a batch, declarations of modules, and names of the language, in this order.
#ifndef VCC_DSL_EMIT_EMITTER_H
#define VCC_DSL_EMIT_EMITTER_H

#include "dialects/vcs/Vcs.h"
#include "dsl/Dsl.h"
#include "dsl/emit/Ranges.h"
#include "dsl/names/Program.h"
#include "dsl/types/Keys.h"
#include "mlir/IR/Builders.h"

#include <functional>
#include <map>
#include <set>

namespace vcc::emit {

/// What a name in a scope means.
struct Entry {
  enum Kind { Local, Argument, Member, Part, Input } Means = Local;
  mlir::Value Value; // Local
};
using Scope = std::map<std::string, Entry>;

class Emitter {
public:
  /// Modules are emitted at the end of `Into`.
  Emitter(mlir::MLIRContext &Context, const names::Program &Program, diag::Engine &Engine, mlir::ModuleOp Into)
      : Context(Context), Builder(mlir::OpBuilder::atBlockEnd(Into.getBody())), Program(Program), Engine(Engine) {}

  void module(const names::ModuleInfo &Info);

private:
  //===------------------------------------------------------------------- Regions.cpp: builders of regions and names
  using EmitValues = std::function<mlir::SmallVector<mlir::Value>()>;
  mlir::Location loc(const diag::SourceRange &Range);
  mlir::ArrayAttr strings(llvm::ArrayRef<std::string> Texts);
  mlir::StringAttr doc(const std::string &Text);
  /// Fills `Region` with one block: what `Emit` emits, then a yield of what it returns.
  void yields(mlir::Region &Region, const diag::SourceRange &Range, const EmitValues &Emit);
  void yields(mlir::Region &Region, const syntax::Expr &Value);
  /// Fills `Region` with one block of ops.
  void holds(mlir::Region &Region, const std::function<void()> &Emit);

  //===------------------------------------------------------------------- Names.cpp
  const Entry *lookup(const std::string &Name) const;
  Entry *lookupLocal(const std::string &Name);
  /// The declaration that an expression (a name or module.name) means statically, or null.
  const syntax::Decl *declarationOf(const syntax::Expr &E) const;
  std::optional<names::Binding> staticBinding(const syntax::Expr &E) const;
  mlir::Value nameValue(const syntax::NameExpr &E);
  mlir::Value entryValue(const Entry &Found, const std::string &Name, mlir::Location Loc);
  mlir::Value bindingValue(const names::Binding &Found, const syntax::Expr &E);
  std::vector<std::string> visibleNames() const;
  bool saysPrecision(const syntax::NameExpr &E) const;
  void unknownName(const syntax::NameExpr &E);
  mlir::SymbolRefAttr symbol(const names::ModuleInfo &Module, llvm::StringRef Name);
  mlir::Value selfValue(mlir::Location Loc);

  //===------------------------------------------------------------------- Expressions.cpp
  mlir::Value value(const syntax::Expr &E);
  mlir::Value none(mlir::Location Loc);
  mlir::Value literal(mlir::Location Loc, mlir::Attribute Value, std::optional<syntax::Unit> Unit = std::nullopt);
  mlir::Value simple(const syntax::Expr &E);
  mlir::Value member(const syntax::MemberExpr &E);
  mlir::Value index(const syntax::IndexExpr &E);
  mlir::Value call(const syntax::CallExpr &E);
  mlir::Value binary(const syntax::BinaryExpr &E);
  mlir::Value logical(const syntax::LogicalExpr &E);
  mlir::Value conditional(const syntax::ConditionalExpr &E);
  mlir::Value comprehension(const syntax::ComprehensionExpr &E);
  /// `Layer(...) * n` as a list of n layers; null where it is not one.
  mlir::Value repetition(const syntax::BinaryExpr &E);
  mlir::Value wordValue(const syntax::Expr &E);
  mlir::SmallVector<mlir::Value> values(const std::vector<syntax::ExprPtr> &Es);
  Scope bindTargets(const std::vector<syntax::Ident> &Targets, mlir::Block &Block);

  //===------------------------------------------------------------------- Statements.cpp
  /// Statements that remain to be emitted, innermost last.
  struct Remaining {
    const syntax::Body *Statements;
    size_t Next, ScopeDepth;
  };
  void functionBody(const syntax::FnDecl &Fn);
  mlir::Value tail(std::vector<Remaining> Rest, const syntax::FnDecl &Fn);
  mlir::Value tailIf(const syntax::IfStmt &If, const std::vector<Remaining> &Rest, const syntax::FnDecl &Fn);
  void statement(const syntax::Stmt &S);
  /// Counts a statement; true, with a diagnostic once, where a function has grown beyond reason.
  bool tooManyStatements(const diag::SourceRange &Range);
  void statements(const syntax::Body &Body);
  void let(const std::vector<syntax::Ident> &Names, mlir::Value Value, bool Assign, const diag::SourceRange &Range);
  void ifStatement(const syntax::IfStmt &S);
  void forStatement(const syntax::ForStmt &S);
  std::vector<std::string> assignedOutside(const std::vector<const syntax::Body *> &Bodies);

  //===------------------------------------------------------------------- Signatures.cpp
  mlir::Attribute type(const syntax::TypeRef &Type, std::vector<const syntax::Expr *> &Expressions);
  mlir::Attribute namedType(const syntax::TypeRef &Type);
  vcs::DimAttr dim(const syntax::Expr &E, std::vector<const syntax::Expr *> &Expressions);
  bool isKnownSize(const std::string &Name) const;
  /// Emits the parameters and the result; their names (and the symbols of their shapes) are arguments in the current scope after that.
  void signature(const std::vector<syntax::Param> &Params, const std::optional<syntax::TypeRef> &Result);
  void function(const syntax::FnDecl &Fn, bool Method);

  //===------------------------------------------------------------------- Parts.cpp
  void declaration(const syntax::Decl &D);
  void constant(const syntax::ConstDecl &D);
  void structure(const syntax::StructDecl &D);
  void operation(const syntax::OpDecl &D);
  void layer(const syntax::LayerDecl &D);
  void layerFields(const std::vector<syntax::LayerField> &Fields);
  void layerField(const syntax::LayerField &F);
  void checkMembers(const syntax::LayerDecl &D);
  void model(const syntax::ModelDecl &D);
  void optimizer(const syntax::OptimizerDecl &D);
  void schedule(const syntax::ScheduleDecl &D);
  void methods(const std::vector<std::unique_ptr<syntax::FnDecl>> &Methods);

  //===------------------------------------------------------------------- Data.cpp
  void datasetFormat(const syntax::DatasetFormatDecl &D);
  void recordFields(const std::vector<syntax::RecordField> &Fields);
  void recordField(const syntax::RecordField &F);
  void dataset(const syntax::DatasetDecl &D);
  void tokenizer(const syntax::TokenizerDecl &D);
  void textTemplate(const syntax::TemplateDecl &D);

  //===------------------------------------------------------------------- Selectors.cpp
  vcs::SelectorAttr selector(const syntax::Selector &S);
  mlir::ArrayAttr selectors(const std::vector<syntax::Selector> &S);
  vcs::SelectorAttr selector(const std::vector<const syntax::SelectorPath *> &Paths,
                             const std::vector<syntax::SelectorPath> &Except);
  void expand(const syntax::SelectorPath &Path, size_t Step, mlir::SmallVector<vcs::SegmentAttr> &Prefix,
              mlir::SmallVector<vcs::PathAttr> &Into);
  vcs::SegmentAttr segment(const syntax::SelectorStep &Step);

  //===------------------------------------------------------------------- Stages.cpp
  void stage(const syntax::StageDecl &D);
  /// Emits the stage's clauses of a kind, own or taken over; names in them mean what they mean where they are written.
  template <class Clause, class Emit>
  void each(const syntax::StageDecl &D, std::vector<Clause> syntax::StageDecl::*Kind, const Emit &Emit_);
  void selections(const syntax::StageDecl &D);
  void start(const syntax::StartClause &Start, const syntax::StageDecl &Stage);
  void batch(const syntax::BatchClause &Batch);
  void rows(const syntax::BatchEntry &Entry, bool Branch);
  void alternate(const syntax::BatchEntry &Entry);
  void textField(const syntax::BatchEntry &Entry);
  Scope inputsOf(const syntax::StageDecl &D);
  Scope componentsOf(const syntax::ModelDecl &D);
  void loss(const syntax::LossClause &Loss);
  void optimize(const syntax::RuleClause &Clause);
  void scheduleClause(const syntax::RuleClause &Clause);
  void evaluate(const syntax::EvaluateClause &Clause, const syntax::StageDecl &Stage);
  void precision(const syntax::PrecisionClause &Clause);
  void parallel(const syntax::ParallelClause &Clause);
  void save(const syntax::SaveClause &Clause);
  vcs::MomentAttr moment(const syntax::Moment &When);
  void options(mlir::Region &Region, const syntax::Options &Given, types::BlockKind Block);
  void emitOptions(const syntax::Options &Given, types::BlockKind Block);
  /// What one option is: a word as it is written, a computed one or any other value as an expression.
  void optionValue(vcs::OptionOp Op, const syntax::Option &O, types::BlockKind Block);
  void perWeight(const syntax::Option &O);
  std::vector<types::Key> parametersOf(const syntax::Expr &Rule, syntax::DeclKind Kind);
  void needKind(const syntax::Expr &E, std::initializer_list<syntax::DeclKind> Kinds, const char *Wanted);
  const syntax::ModelDecl *modelOf(const syntax::StageDecl &D, mlir::SymbolRefAttr &Symbol);

  mlir::MLIRContext &Context;
  mlir::OpBuilder Builder;
  const names::Program &Program;
  diag::Engine &Engine;
  const names::ModuleInfo *Current = nullptr;
  std::vector<const syntax::StageDecl *> Stages;
  std::vector<Scope> Scopes;
  mlir::Value MethodSelf; // inside a method
  bool InLoss = false;
  std::set<std::string> SymbolsOfSignature;
  unsigned EmittedStatements = 0;
};

/// Adds a scope for as long as it lives.
class ScopeGuard {
public:
  ScopeGuard(std::vector<Scope> &Scopes, Scope Added = {}) : Scopes(Scopes), Depth(Scopes.size()) {
    Scopes.push_back(std::move(Added));
  }
  ~ScopeGuard() { Scopes.resize(Depth); }

private:
  std::vector<Scope> &Scopes;
  size_t Depth;
};

} // namespace vcc::emit

#endif
