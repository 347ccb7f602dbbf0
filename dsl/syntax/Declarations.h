// SPDX-License-Identifier: Apache-2.0
//
// The owned tree of a module: its declarations, and what its stages say.
#ifndef VCC_DSL_SYNTAX_DECLARATIONS_H
#define VCC_DSL_SYNTAX_DECLARATIONS_H

#include "dsl/syntax/Expressions.h"

namespace vcc::syntax {

/// One entry of a block of options: `key: value`, `key { inner }`, `key { "a" -> "b" }`, or (inside a key's block) `selector: value`.
struct Option {
  Ident Key;
  SourceRange Range;
  ExprPtr Value;
  std::vector<SelectorPath> Paths; // `except: a, b.*`
  /// `lr { bridge.*: 1e-4, else: 2e-5 }`: pairs of selector and value; no path: else.
  struct PerSelector {
    std::optional<SelectorPath> Path;
    SourceRange Range;
    ExprPtr Value;
  };
  std::vector<PerSelector> Inner;
  bool HasInner = false;
  /// `rename { "a.*" -> "b.*" }`: one of its rules.
  struct Rename {
    SourceRange Range;
    std::string From, To;
  };
  std::vector<Rename> Renames;
};
using Options = std::vector<Option>;

enum class DeclKind {
  Const, Struct, Layer, Fn, Op, Model, Stage, DatasetFormat, Dataset, Tokenizer, Template, Optimizer, Schedule
};

struct Decl {
  Decl(DeclKind Kind, SourceRange Range) : Kind(Kind), Range(std::move(Range)) {}
  virtual ~Decl() = default;
  const DeclKind Kind;
  SourceRange Range;
  Ident Name;
  std::string Doc;
};
using DeclPtr = std::unique_ptr<Decl>;

template <DeclKind K> struct DeclOf : Decl {
  explicit DeclOf(SourceRange Range) : Decl(K, std::move(Range)) {}
  static bool classof(const Decl *D) { return D->Kind == K; }
};

struct ConstDecl : DeclOf<DeclKind::Const> {
  using DeclOf::DeclOf;
  ExprPtr Value;
};
struct StructDecl : DeclOf<DeclKind::Struct> {
  using DeclOf::DeclOf;
  std::vector<Param> Fields;
};
struct FnDecl : DeclOf<DeclKind::Fn> {
  using DeclOf::DeclOf;
  std::vector<Param> Params;
  std::optional<TypeRef> Result;
  Body Statements;
};
struct OpDecl : DeclOf<DeclKind::Op> {
  using DeclOf::DeclOf;
  std::vector<Param> Params;
  std::optional<TypeRef> Result;
};

/// A field of a layer, or `if` around fields.
struct LayerField {
  SourceRange Range;
  Ident Name;
  std::string Doc;
  // a weight
  bool IsWeight = false;
  std::vector<ExprPtr> Shape;
  ExprPtr Init, WithinFirst, WithinLast;
  // any other field
  ExprPtr Value;
  // if
  ExprPtr Condition;
  std::vector<LayerField> Then, Otherwise;
  bool isIf() const { return Condition != nullptr; }
};
struct GroupDecl {
  Ident Name;
  SourceRange Range;
  std::vector<Selector> Selectors;
};
struct LayerDecl : DeclOf<DeclKind::Layer> {
  using DeclOf::DeclOf;
  std::vector<Param> Params;
  std::vector<LayerField> Fields;
  std::vector<GroupDecl> Groups;
  std::vector<std::unique_ptr<FnDecl>> Methods;
};

enum class Role { Encoder, QFormer, Projector, Llm, Head, Lora };
struct Component {
  SourceRange Range;
  Role In = Role::Encoder;
  Ident Name;
  std::string Doc;
  ExprPtr Value;                  // not for lora
  std::vector<Selector> Sites;    // lora
  Options With;                   // lora
};
struct ModelDecl : DeclOf<DeclKind::Model> {
  using DeclOf::DeclOf;
  std::vector<Component> Components;
};

struct RecordField {
  Ident Name;
  SourceRange Range;
  std::vector<Ident> Keys; // the words right of the colon; a lone type word means the field's own name
  bool List = false, HasFields = false;
  std::vector<RecordField> Fields;
};
struct DatasetFormatDecl : DeclOf<DeclKind::DatasetFormat> {
  using DeclOf::DeclOf;
  std::vector<Param> Params;
  std::vector<RecordField> Fields;
};
struct DatasetDecl : DeclOf<DeclKind::Dataset> {
  using DeclOf::DeclOf;
  ExprPtr Source;
  Options With;
};
struct TokenizerDecl : DeclOf<DeclKind::Tokenizer> {
  using DeclOf::DeclOf;
  ExprPtr Source;
};
struct TemplateSegment {
  Ident Role;
  std::string Text;
  SourceRange Range;
};
struct TemplateDecl : DeclOf<DeclKind::Template> {
  using DeclOf::DeclOf;
  std::vector<TemplateSegment> Segments;
  std::vector<std::string> Prompts, ImagePrompts;
};
struct StateDecl {
  Ident Name;
  SourceRange Range;
  ExprPtr Init;
};
/// Optimizers and schedules: parameters, state, methods.
struct RuleDecl {
  std::vector<Param> Params;
  std::vector<StateDecl> States;
  std::vector<std::unique_ptr<FnDecl>> Methods;
};
struct OptimizerDecl : DeclOf<DeclKind::Optimizer>, RuleDecl {
  using DeclOf::DeclOf;
};
struct ScheduleDecl : DeclOf<DeclKind::Schedule>, RuleDecl {
  using DeclOf::DeclOf;
};

//===------------------------------------------------------------------------------------------------------------------------------===//
// Stages
//===------------------------------------------------------------------------------------------------------------------------------===//

/// `1`, `"align"`: a stage by number or name.
struct StageRef {
  SourceRange Range;
  std::optional<int64_t> Number;
  std::string Name;
};
struct Moment {
  SourceRange Range;
  bool AtEnd = false;
  ExprPtr Every; // an amount with its unit
};
enum class SelectionKind { Uses, Train, Freeze, Idle, Recompute };
struct SelectionClause {
  SelectionKind Kind = SelectionKind::Uses;
  SourceRange Range;
  std::vector<Selector> Selectors;
};
struct StartSource {
  enum { Stage, File, Init } Kind = Init;
  SourceRange Range;
  StageRef From;
  ExprPtr Path; // the name of the file
};
struct StartClause {
  SourceRange Range;
  std::vector<Selector> Selectors;
  std::vector<StartSource> Sources;
  Options With;
};
struct BatchEntry {
  enum { Rows, Text, Labels, Identity, Accumulate, Mixture } Kind = Rows;
  SourceRange Range;
  Ident Name;             // for a mixture its word (`alternate`)
  ExprPtr Count, Source;  // Rows: both; Text: Source; Accumulate: Count
  std::vector<ExprPtr> Weights; // Rows: of `weighted`, one for each element of the source
  Options With;
  std::vector<BatchEntry> Branches; // Mixture
};
struct BatchClause {
  SourceRange Range;
  std::vector<BatchEntry> Entries;
};
struct LossClause {
  SourceRange Range;
  Body Statements;
};
/// `optimize adamw { ... }`, `schedule cosine { ... }`.
struct RuleClause {
  SourceRange Range;
  ExprPtr Rule;
  Options With;
};
struct EvaluateClause {
  SourceRange Range;
  Ident Name;
  Moment When;
  ExprPtr Dataset;
  Options With;
  std::optional<Ident> Like;
};
struct SaveClause {
  SourceRange Range;
  Moment When;
  Options With;
  std::optional<Ident> As;
};
struct ParallelClause {
  SourceRange Range;
  Options With;
};
struct PrecisionClause {
  SourceRange Range;
  ExprPtr Value;
  Options With; // of the loss scale of fp16
};

struct StageDecl : DeclOf<DeclKind::Stage> {
  using DeclOf::DeclOf;
  std::optional<int64_t> Number;
  std::vector<Ident> Model; // dotted
  std::optional<StageRef> Like;
  std::vector<Ident> LikeFrom; // the imported module that `Like` is of; empty: this one
  /// What `like` names, once it is known: a kind of clause that this stage does not have is that stage's.
  const StageDecl *Base = nullptr;
  std::vector<SelectionClause> Selections;
  std::vector<StartClause> Starts;
  std::vector<BatchClause> Batches;
  std::vector<LossClause> Losses;
  std::vector<RuleClause> Optimizes, Schedules;
  std::vector<PrecisionClause> Precisions;
  std::vector<EvaluateClause> Evaluates;
  std::vector<ParallelClause> Parallels;
  std::vector<SaveClause> Saves;
  std::vector<Moment> Logs;

  /// The stage whose clauses of a kind are this one's: itself, or where they are taken over from.
  template <class Clause> const StageDecl *owner(std::vector<Clause> StageDecl::*Kind) const {
    return (this->*Kind).empty() && Base ? Base->owner(Kind) : this;
  }
  /// The clauses of a kind, own or taken over; `all(&StageDecl::Losses)`.
  template <class Clause> const std::vector<Clause> &all(std::vector<Clause> StageDecl::*Kind) const { return owner(Kind)->*Kind; }
  /// `uses`, `train`, ... are taken over one by one.
  std::vector<const SelectionClause *> selections() const {
    std::vector<const SelectionClause *> Found;
    for (SelectionKind Kind : {SelectionKind::Uses, SelectionKind::Train, SelectionKind::Freeze, SelectionKind::Idle, SelectionKind::Recompute})
      for (const StageDecl *From = this; From; From = From->Base) {
        size_t Before = Found.size();
        for (const SelectionClause &Clause : From->Selections)
          if (Clause.Kind == Kind)
            Found.push_back(&Clause);
        if (Found.size() != Before)
          break;
      }
    return Found;
  }
};

//===------------------------------------------------------------------------------------------------------------------------------===//
// Modules
//===------------------------------------------------------------------------------------------------------------------------------===//

struct Import {
  SourceRange Range;
  std::vector<Ident> Path;
  bool Selected = false; // with a list of names in braces
  std::vector<Ident> Names;
};
struct Module {
  std::string File;
  std::vector<Ident> Name;
  SourceRange NameRange;
  std::string Doc;
  std::vector<Import> Imports;
  std::vector<DeclPtr> Declarations;
};

} // namespace vcc::syntax

#endif
