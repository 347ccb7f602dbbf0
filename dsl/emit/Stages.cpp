// SPDX-License-Identifier: Apache-2.0
//
// Stages and what they say.
#include "dsl/emit/Emitter.h"
#include "dsl/types/Calls.h"
#include "dsl/types/Stages.h"

#include <utility>

using namespace vcc::syntax;

namespace vcc::emit {

void Emitter::needKind(const Expr &E, std::initializer_list<DeclKind> Kinds, const char *Wanted) {
  const Decl *Found = declarationOf(E);
  if (!Found || llvm::is_contained(Kinds, Found->Kind))
    return;
  Engine.report(diag::kinds::WrongDeclaration, E.Range, Found->Name.Text, diag::withArticle(names::describe(Found->Kind)),
                diag::withArticle(Wanted))
      .label(Found->Name.Range, "declared here");
}

const ModelDecl *Emitter::modelOf(const StageDecl &D, mlir::SymbolRefAttr &Symbol) {
  ExprPtr Reference;
  for (const Ident &Part : D.Model) {
    if (!Reference) {
      auto First = std::make_unique<NameExpr>(Part.Range);
      First->Name = Part.Text;
      Reference = std::move(First);
      continue;
    }
    auto Member = std::make_unique<MemberExpr>(join(D.Model.front().Range, Part.Range));
    Member->Object = std::move(Reference);
    Member->Name = Part;
    Reference = std::move(Member);
  }
  std::optional<names::Binding> Found = staticBinding(*Reference);
  if (!Found || !Found->Declaration) {
    std::vector<std::string> Models;
    for (auto &[Name, Binding] : Current->Names)
      if (Binding.Declaration && Binding.Declaration->Kind == DeclKind::Model)
        Models.push_back(Name);
    Engine.report(diag::kinds::UnknownName, Reference->Range, "model", D.Model.back().Text)
        .didYouMean(D.Model.back().Text, Models);
    return nullptr;
  }
  needKind(*Reference, {DeclKind::Model}, "model");
  Symbol = symbol(*Found->Module, Found->Declaration->Name.Text);
  return llvm::dyn_cast<ModelDecl>(Found->Declaration);
}

Scope Emitter::inputsOf(const StageDecl &D) {
  Scope Inputs;
  Inputs["batch"] = {Entry::Input, {}};
  std::map<std::string, diag::SourceRange> Seen;
  auto HasMedia = [](const BatchEntry &Rows) { return types::findOption(Rows.With, "frames") || types::findOption(Rows.With, "size"); };
  for (const BatchClause &Batch : D.all(&StageDecl::Batches))
    for (const BatchEntry &Entry_ : Batch.Entries) {
      if (Entry_.Kind == BatchEntry::Mixture && llvm::any_of(Entry_.Branches, HasMedia))
        Inputs["clip"] = {Entry::Input, {}};
      if (Entry_.Kind == BatchEntry::Accumulate || Entry_.Kind == BatchEntry::Mixture)
        continue;
      auto [Old, New] = Seen.try_emplace(Entry_.Name.Text, Entry_.Name.Range);
      if (!New)
        Engine.report(diag::kinds::DuplicateName, Entry_.Name.Range, Entry_.Name.Text).label(Old->second, "first here");
      if (Entry_.Kind != BatchEntry::Rows)
        Inputs[Entry_.Name.Text] = {Entry::Input, {}};
      else if (HasMedia(Entry_))
        Inputs["clip"] = {Entry::Input, {}};
    }
  return Inputs;
}

template <class Clause, class Emit>
void Emitter::each(const StageDecl &D, std::vector<Clause> StageDecl::*Kind, const Emit &Emit_) {
  const StageDecl *Owner = D.owner(Kind);
  const names::ModuleInfo *Outer = std::exchange(Current, Owner == &D ? Current : Program.homeOf(*Owner));
  for (const Clause &Each : Owner->*Kind)
    Emit_(Each);
  Current = Outer;
}

void Emitter::stage(const StageDecl &D) {
  mlir::SymbolRefAttr Symbol;
  const ModelDecl *Model = modelOf(D, Symbol);
  if (!Model)
    return;
  types::checkStage(D, *Model, Engine);
  mlir::IntegerAttr Number = D.Number ? Builder.getI64IntegerAttr(*D.Number) : mlir::IntegerAttr();
  auto Op = Builder.create<vcs::StageOp>(loc(D.Range), Builder.getStringAttr(D.Name.Text), Number, Symbol, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] {
    selections(D);
    each(D, &StageDecl::Starts, [&](const StartClause &Start) { start(Start, D); });
    each(D, &StageDecl::Batches, [&](const BatchClause &Batch) { batch(Batch); });
    {
      Scope Components = componentsOf(*Model), Inputs = inputsOf(D);
      ScopeGuard Parts(Scopes, std::move(Components));
      ScopeGuard Given(Scopes, std::move(Inputs));
      each(D, &StageDecl::Losses, [&](const LossClause &Loss) { loss(Loss); });
      each(D, &StageDecl::Evaluates, [&](const EvaluateClause &Clause) { evaluate(Clause, D); });
    }
    each(D, &StageDecl::Optimizes, [&](const RuleClause &Clause) { optimize(Clause); });
    each(D, &StageDecl::Schedules, [&](const RuleClause &Clause) { scheduleClause(Clause); });
    each(D, &StageDecl::Precisions, [&](const PrecisionClause &Clause) { precision(Clause); });
    each(D, &StageDecl::Parallels, [&](const ParallelClause &Clause) { parallel(Clause); });
    each(D, &StageDecl::Saves, [&](const SaveClause &Clause) { save(Clause); });
    each(D, &StageDecl::Logs, [&](const Moment &When) { Builder.create<vcs::LogOp>(loc(When.Range), moment(When)); });
  });
}

void Emitter::selections(const StageDecl &D) {
  for (const SelectionClause *Clause : D.selections())
    for (const Selector &S : Clause->Selectors) {
      mlir::Location Loc = loc(S.Range);
      vcs::SelectorAttr Attr = selector(S);
      switch (Clause->Kind) {
      case SelectionKind::Uses: Builder.create<vcs::UsesOp>(Loc, Attr); break;
      case SelectionKind::Train: Builder.create<vcs::TrainOp>(Loc, Attr); break;
      case SelectionKind::Freeze: Builder.create<vcs::FreezeOp>(Loc, Attr); break;
      case SelectionKind::Idle: Builder.create<vcs::IdleOp>(Loc, Attr); break;
      case SelectionKind::Recompute: Builder.create<vcs::RecomputeOp>(Loc, Attr); break;
      }
    }
}

void Emitter::start(const StartClause &Start, const StageDecl &Stage) {
  types::checkKeys(Start.With, types::BlockKind::Start, {}, "`start`", Engine);
  vcs::SelectorAttr Except;
  if (const Option *O = types::findOption(Start.With, "except")) {
    std::vector<const SelectorPath *> Paths;
    for (const SelectorPath &Path : O->Paths)
      Paths.push_back(&Path);
    if (!Paths.empty())
      Except = selector(Paths, {});
  }
  llvm::SmallVector<mlir::Attribute> Renames;
  if (const Option *O = types::findOption(Start.With, "rename"))
    for (const Option::Rename &Rule : O->Renames)
      Renames.push_back(Builder.getStrArrayAttr({Rule.From, Rule.To}));
  mlir::StringAttr Inside;
  if (const Option *O = types::findOption(Start.With, "inside"))
    if (auto *Text = llvm::dyn_cast_if_present<StringExpr>(O->Value.get()))
      Inside = Builder.getStringAttr(Text->Value);
  auto Op = Builder.create<vcs::StartOp>(loc(Start.Range), selectors(Start.Selectors), Except);
  holds(Op.getSources(), [&] {
    for (const StartSource &Source : Start.Sources) {
      mlir::Location Loc = loc(Source.Range);
      if (Source.Kind == StartSource::Init) {
        Builder.create<vcs::FromInitOp>(Loc);
      } else if (Source.Kind == StartSource::Stage) {
        if (const StageDecl *From = types::resolveStage(Source.From, Stages, &Stage, Engine))
          Builder.create<vcs::FromStageOp>(Loc, From->Name.Text);
      } else {
        auto File = Builder.create<vcs::FromFileOp>(Loc, Renames.empty() ? nullptr : Builder.getArrayAttr(Renames), Inside);
        yields(File.getFile(), *Source.Path);
      }
    }
  });
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Batches
//===------------------------------------------------------------------------------------------------------------------------------===//

void Emitter::batch(const BatchClause &Batch) {
  auto Op = Builder.create<vcs::BatchOp>(loc(Batch.Range));
  bool Accumulates = false;
  holds(Op.getBodyRegion(), [&] {
    for (const BatchEntry &Entry : Batch.Entries) {
      switch (Entry.Kind) {
      case BatchEntry::Rows: rows(Entry, /*Branch=*/false); break;
      case BatchEntry::Text: textField(Entry); break;
      case BatchEntry::Labels: {
        types::checkKeys(Entry.With, types::BlockKind::Labels, {}, "`labels`", Engine);
        if (!types::findOption(Entry.With, "of"))
          Engine.report(diag::kinds::MissingKey, Entry.Name.Range, "`" + Entry.Name.Text + "`", "of")
              .help("list the values, as in `of: [\"cat\", \"dog\"]`");
        auto Labels = Builder.create<vcs::LabelFieldOp>(loc(Entry.Name.Range), Entry.Name.Text);
        options(Labels.getOptions(), Entry.With, types::BlockKind::Labels);
        break;
      }
      case BatchEntry::Identity: {
        types::checkKeys(Entry.With, types::BlockKind::Identity, {}, "`identity`", Engine);
        auto Identity = Builder.create<vcs::IdentityFieldOp>(loc(Entry.Name.Range), Entry.Name.Text);
        options(Identity.getOptions(), Entry.With, types::BlockKind::Identity);
        break;
      }
      case BatchEntry::Accumulate: {
        if (Accumulates)
          Engine.report(diag::kinds::DuplicateKey, Entry.Name.Range, "accumulate");
        Accumulates = true;
        types::checkKeys(Entry.With, types::BlockKind::Accumulate, {}, "`accumulate`", Engine);
        auto Count = Builder.create<vcs::AccumulateOp>(loc(Entry.Range));
        yields(Count.getCount(), *Entry.Count);
        if (!Entry.With.empty())
          options(Count.getOptions(), Entry.With, types::BlockKind::Accumulate);
        break;
      }
      case BatchEntry::Mixture: alternate(Entry); break;
      }
    }
  });
}

void Emitter::alternate(const BatchEntry &Entry) {
  if (Entry.Name.Text != "alternate") // said by checkStage
    return;
  std::map<std::string, diag::SourceRange> Seen;
  for (const BatchEntry &Branch : Entry.Branches) {
    if (Branch.Kind != BatchEntry::Rows) {
      Engine.report(diag::kinds::BadValue, Branch.Range, "`alternate` holds rows and nothing else")
          .help("fields of text and labels stand beside it and hold for all of its branches");
      continue;
    }
    auto [Old, New] = Seen.try_emplace(Branch.Name.Text, Branch.Name.Range);
    if (!New)
      Engine.report(diag::kinds::DuplicateName, Branch.Name.Range, Branch.Name.Text).label(Old->second, "first here");
    rows(Branch, /*Branch=*/true);
  }
  if (Entry.Branches.empty())
    Engine.report(diag::kinds::MissingKey, Entry.Name.Range, "`alternate`", "branch").help("write `image: 4 from [pictures] { frames: 1 }`");
}

void Emitter::rows(const BatchEntry &Entry, bool Branch) {
  types::checkKeys(Entry.With, types::BlockKind::Rows, {}, "`" + Entry.Name.Text + "`", Engine);
  if (auto *List = llvm::dyn_cast<ListExpr>(Entry.Source.get())) {
    for (const ExprPtr &E : List->Elements)
      needKind(*E, {DeclKind::Dataset, DeclKind::Const}, "dataset");
  } else {
    needKind(*Entry.Source, {DeclKind::Dataset, DeclKind::Const}, "dataset");
  }
  auto Op = Builder.create<vcs::RowsOp>(loc(Entry.Name.Range), Entry.Name.Text, Branch);
  yields(Op.getCount(), *Entry.Count);
  yields(Op.getSource(), *Entry.Source);
  if (!Entry.Weights.empty())
    yields(Op.getWeights(), Entry.Source->Range, [&] { return values(Entry.Weights); });
  options(Op.getOptions(), Entry.With, types::BlockKind::Rows);
}

void Emitter::textField(const BatchEntry &Entry) {
  types::checkKeys(Entry.With, types::BlockKind::Text, {}, "`" + Entry.Name.Text + "`", Engine);
  needKind(*Entry.Source, {DeclKind::Tokenizer, DeclKind::Template, DeclKind::Const}, "tokenizer or template");
  const Decl *Source = declarationOf(*Entry.Source);
  auto Need = [&](llvm::StringRef Key, const char *Help) {
    if (!types::findOption(Entry.With, Key) && !(Key == "max_tokens" && types::findOption(Entry.With, "buckets")))
      Engine.report(diag::kinds::MissingKey, Entry.Name.Range, "`" + Entry.Name.Text + "`", Key).help(Help);
  };
  Need("max_tokens", "say how long it may be, as in `max_tokens: 64`");
  if (Source && Source->Kind == DeclKind::Tokenizer)
    Need("from", "name the field of the record, as in `from: caption`");
  if (Source && Source->Kind == DeclKind::Template)
    Need("tokenizer", "name the tokenizer of the text");
  if (const Option *O = types::findOption(Entry.With, "tokenizer"); O && O->Value)
    needKind(*O->Value, {DeclKind::Tokenizer, DeclKind::Const}, "tokenizer");
  auto Op = Builder.create<vcs::TextFieldOp>(loc(Entry.Name.Range), Entry.Name.Text);
  yields(Op.getSource(), *Entry.Source);
  options(Op.getOptions(), Entry.With, types::BlockKind::Text);
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Loss, optimizer, schedule
//===------------------------------------------------------------------------------------------------------------------------------===//

void Emitter::loss(const LossClause &Loss) {
  auto Op = Builder.create<vcs::LossOp>(loc(Loss.Range));
  mlir::OpBuilder::InsertionGuard Guard(Builder);
  Builder.createBlock(&Op.getBody());
  ScopeGuard Locals(Scopes);
  InLoss = true;
  EmittedStatements = 0;
  statements(Loss.Statements);
  InLoss = false;
  Builder.create<vcs::YieldOp>(loc(Loss.Range), mlir::ValueRange{});
}

std::vector<types::Key> Emitter::parametersOf(const Expr &Rule, DeclKind Kind) {
  std::vector<types::Key> Keys;
  const Decl *Found = declarationOf(Rule);
  const RuleDecl *Declared = llvm::dyn_cast_if_present<OptimizerDecl>(Found);
  if (!Declared)
    Declared = llvm::dyn_cast_if_present<ScheduleDecl>(Found);
  if (Declared && Found->Kind == Kind)
    for (const Param &P : Declared->Params)
      Keys.push_back({P.Name.Text});
  return Keys;
}

void Emitter::optimize(const RuleClause &Clause) {
  needKind(*Clause.Rule, {DeclKind::Optimizer}, "optimizer");
  if (declarationOf(*Clause.Rule))
    types::checkKeys(Clause.With, types::BlockKind::Optimize, parametersOf(*Clause.Rule, DeclKind::Optimizer), "`optimize`", Engine);
  if (!types::findOption(Clause.With, "lr"))
    Engine.report(diag::kinds::MissingKey, Clause.Rule->Range, "`optimize`", "lr").help("say the peak learning rate, as in `lr: 1e-4`");
  auto Op = Builder.create<vcs::OptimizeOp>(loc(Clause.Range));
  yields(Op.getOptimizer(), *Clause.Rule);
  options(Op.getOptions(), Clause.With, types::BlockKind::Optimize);
}

void Emitter::scheduleClause(const RuleClause &Clause) {
  needKind(*Clause.Rule, {DeclKind::Schedule}, "schedule");
  if (declarationOf(*Clause.Rule))
    types::checkKeys(Clause.With, types::BlockKind::Schedule, parametersOf(*Clause.Rule, DeclKind::Schedule), "`schedule`", Engine);
  const Option *Steps = types::findOption(Clause.With, "steps"), *Epochs = types::findOption(Clause.With, "epochs");
  if (!Steps && !Epochs)
    Engine.report(diag::kinds::MissingKey, Clause.Rule->Range, "`schedule`", "steps").help("write `steps: 1000` or `epochs: 3`");
  if (Steps && Epochs)
    Engine.report(diag::kinds::DuplicateKey, Epochs->Key.Range, "epochs").label(Steps->Key.Range, "the length is said here already");
  auto Op = Builder.create<vcs::ScheduleOp>(loc(Clause.Range));
  yields(Op.getSchedule(), *Clause.Rule);
  options(Op.getOptions(), Clause.With, types::BlockKind::Schedule);
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Evaluation, saving, logging
//===------------------------------------------------------------------------------------------------------------------------------===//

vcs::MomentAttr Emitter::moment(const Moment &When) {
  if (When.AtEnd)
    return vcs::MomentAttr::atEnd(&Context);
  double Amount = 0;
  std::optional<Unit> In;
  if (auto *Whole = llvm::dyn_cast<IntExpr>(When.Every.get())) {
    Amount = Whole->Value;
    In = Whole->In;
  } else if (auto *Number = llvm::dyn_cast<FloatExpr>(When.Every.get())) {
    Amount = Number->Value;
    In = Number->In;
  } else {
    Engine.report(diag::kinds::WrongType, When.Every->Range, "`every`", "an expression", "an amount such as `50 steps`");
    return vcs::MomentAttr::atEnd(&Context);
  }
  if (!In || (*In != Unit::Steps && *In != Unit::Epochs))
    Engine.report(diag::kinds::UnitMismatch, When.Every->Range, "`every`", In ? std::string("`") + vcs::stringifyUnit(static_cast<vcs::Unit>(*In)).str() + "`" : std::string("no unit"),
                  "steps or epochs");
  if (!(Amount > 0))
    Engine.report(diag::kinds::BadValue, When.Every->Range, "`every` needs an amount above zero");
  return vcs::MomentAttr::every(&Context, Amount, static_cast<vcs::Unit>(In.value_or(Unit::Steps)));
}

void Emitter::precision(const PrecisionClause &Clause) {
  types::checkKeys(Clause.With, types::BlockKind::Precision, {}, "`precision`", Engine);
  auto Op = Builder.create<vcs::PrecisionOp>(loc(Clause.Value->Range));
  yields(Op.getKind(), *Clause.Value);
  if (!Clause.With.empty())
    options(Op.getOptions(), Clause.With, types::BlockKind::Precision);
}

void Emitter::parallel(const ParallelClause &Clause) {
  types::checkKeys(Clause.With, types::BlockKind::Parallel, {}, "`parallel`", Engine);
  if (!types::findOption(Clause.With, "shard"))
    Engine.report(diag::kinds::MissingKey, Clause.Range, "`parallel`", "shard")
        .help("write `shard: none`: every rank holds all weights");
  auto Op = Builder.create<vcs::ParallelOp>(loc(Clause.Range));
  options(Op.getOptions(), Clause.With, types::BlockKind::Parallel);
}

void Emitter::save(const SaveClause &Clause) {
  types::checkKeys(Clause.With, types::BlockKind::Save, {}, "`save`", Engine);
  auto Op = Builder.create<vcs::SaveOp>(loc(Clause.Range), moment(Clause.When));
  options(Op.getOptions(), Clause.With, types::BlockKind::Save);
}

void Emitter::evaluate(const EvaluateClause &Clause, const StageDecl &Stage) {
  types::checkKeys(Clause.With, types::BlockKind::Evaluate, {}, "`evaluate`", Engine);
  const EvaluateClause *Like = nullptr;
  std::vector<std::string> Names;
  if (Clause.Like) {
    for (const EvaluateClause &Other : Stage.all(&StageDecl::Evaluates)) {
      Names.push_back(Other.Name.Text);
      if (&Other != &Clause && Other.Name.Text == Clause.Like->Text)
        Like = &Other;
    }
    if (!Like)
      Engine.report(diag::kinds::UnknownName, Clause.Like->Range, "evaluation of this stage", Clause.Like->Text)
          .didYouMean(Clause.Like->Text, Names);
  }
  std::string Name = Clause.Name.Text;
  if (Name.empty())
    if (const Decl *Dataset = declarationOf(*Clause.Dataset))
      Name = Dataset->Name.Text;
  needKind(*Clause.Dataset, {DeclKind::Dataset, DeclKind::Const}, "dataset");
  auto Op = Builder.create<vcs::EvaluateOp>(loc(Clause.Range), Name, moment(Clause.When));
  yields(Op.getDataset(), *Clause.Dataset);
  options(Op.getOptions(), Clause.With, types::BlockKind::Evaluate);
  if (Like)
    holds(Op.getOptions(), [&] {
      for (const Option &O : Like->With)
        if (!types::findOption(Clause.With, O.Key.Text)) {
          auto Copied = Builder.create<vcs::OptionOp>(loc(O.Key.Range), O.Key.Text);
          if (O.Value)
            optionValue(Copied, O, types::BlockKind::Evaluate);
        }
    });
  bool Score = types::findOption(Clause.With, "score") || (Like && types::findOption(Like->With, "score"));
  if (!Score)
    Engine.report(diag::kinds::MissingKey, Clause.Range, "`evaluate`", "score").help("say what ranks the candidates, as in `score: losses.answer_score(lm, dialogue)`");
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Options
//===------------------------------------------------------------------------------------------------------------------------------===//

void Emitter::options(mlir::Region &Region, const Options &Given, types::BlockKind Block) {
  holds(Region, [&] { emitOptions(Given, Block); });
}

void Emitter::emitOptions(const Options &Given, types::BlockKind Block) {
  for (const Option &O : Given) {
    if (O.HasInner) {
      if (Block == types::BlockKind::Optimize)
        perWeight(O);
      continue;
    }
    if (!O.Value)
      continue;
    optionValue(Builder.create<vcs::OptionOp>(loc(O.Key.Range), O.Key.Text), O, Block);
  }
}

void Emitter::optionValue(vcs::OptionOp Op, const Option &O, types::BlockKind Block) {
  const types::Key *Key = types::findKey(Block, O.Key.Text);
  bool Word = Key && (Key->Kind == types::KeyKind::Word || Key->Kind == types::KeyKind::Field);
  bool Computed = Key && Key->Kind == types::KeyKind::Word && !llvm::isa<NameExpr, NoneExpr>(*O.Value);
  yields(Op.getValue(), O.Value->Range,
         [&] { return mlir::SmallVector<mlir::Value>{Word && !Computed ? wordValue(*O.Value) : value(*O.Value)}; });
}

void Emitter::perWeight(const Option &O) {
  const types::Key *Key = types::findKey(types::BlockKind::Optimize, O.Key.Text);
  bool Word = Key && Key->Kind == types::KeyKind::Word;
  bool Else = false;
  for (const Option::PerSelector &Inner : O.Inner) {
    vcs::SelectorAttr Attr;
    if (Inner.Path)
      Attr = selector({&*Inner.Path}, {});
    else if (std::exchange(Else, true))
      Engine.report(diag::kinds::DuplicateKey, Inner.Range, "else");
    auto Op = Builder.create<vcs::PerWeightOp>(loc(Inner.Range), O.Key.Text, Attr);
    bool Bare = Word && llvm::isa<NameExpr, NoneExpr>(*Inner.Value);
    yields(Op.getValue(), Inner.Value->Range, [&] { return mlir::SmallVector<mlir::Value>{Bare ? wordValue(*Inner.Value) : value(*Inner.Value)}; });
  }
}

} // namespace vcc::emit
