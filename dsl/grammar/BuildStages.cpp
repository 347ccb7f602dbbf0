// SPDX-License-Identifier: Apache-2.0
//
// Stages of the owned tree.
#include "dsl/grammar/Builder.h"

using namespace vcc::syntax;

namespace vcc::grammar {

StageRef Builder::stageRef(Parser::StageRefContext *Context) {
  StageRef Made;
  Made.Range = range(Context);
  if (auto *Number = Context->INT())
    Made.Number = integer(Number->getText(), Made.Range);
  else
    Made.Name = unescape(Context->STRING());
  return Made;
}

Moment Builder::moment(Parser::MomentContext *Context) {
  Moment Made;
  Made.Range = range(Context);
  Made.Every = optional(Context->expr());
  Made.AtEnd = !Made.Every;
  return Made;
}

DeclPtr Builder::stageDecl(Parser::StageDeclContext *Context) {
  auto Made = std::make_unique<StageDecl>(range(Context->getStart(), Context->dotted(0)->getStop()));
  if (auto *Number = Context->INT())
    Made->Number = integer(Number->getText(), range(Number));
  Made->Name = quoted(Context->STRING());
  Made->Model = dotted(Context->dotted(0));
  if (Context->stageRef())
    Made->Like = stageRef(Context->stageRef());
  if (auto *From = Context->dotted(1))
    Made->LikeFrom = dotted(From);
  for (auto *C : Context->clause())
    clause(C, *Made);
  return Made;
}

void Builder::clause(Parser::ClauseContext *Context, StageDecl &Stage) {
  diag::SourceRange At = range(Context), Word = range(Context->getStart(), Context->getStart());
  if (auto *C = dynamic_cast<Parser::SelectionClauseContext *>(Context)) {
    std::string Name = C->getStart()->getText();
    SelectionKind Kind = Name == "uses"     ? SelectionKind::Uses
                         : Name == "train"  ? SelectionKind::Train
                         : Name == "freeze" ? SelectionKind::Freeze
                         : Name == "idle"   ? SelectionKind::Idle
                                            : SelectionKind::Recompute;
    Stage.Selections.push_back({Kind, Word, selectors(C->selector())});
  } else if (auto *C = dynamic_cast<Parser::StartClauseContext *>(Context)) {
    Stage.Starts.push_back(start(C));
  } else if (auto *C = dynamic_cast<Parser::BatchClauseContext *>(Context)) {
    BatchClause &Batch = Stage.Batches.emplace_back();
    Batch.Range = Word;
    for (auto *Entry : C->batchEntry())
      Batch.Entries.push_back(batchEntry(Entry));
  } else if (auto *C = dynamic_cast<Parser::LossClauseContext *>(Context)) {
    Stage.Losses.push_back({Word, block(C->block())});
  } else if (auto *C = dynamic_cast<Parser::OptimizeClauseContext *>(Context)) {
    Stage.Optimizes.push_back({Word, reference(C->dotted()), options(C->entries())});
  } else if (auto *C = dynamic_cast<Parser::ScheduleClauseContext *>(Context)) {
    Stage.Schedules.push_back({Word, reference(C->dotted()), options(C->entries())});
  } else if (auto *C = dynamic_cast<Parser::PrecisionClauseContext *>(Context)) {
    Stage.Precisions.push_back({Word, expr(C->expr()), options(C->entries())});
  } else if (auto *C = dynamic_cast<Parser::ParallelClauseContext *>(Context)) {
    Stage.Parallels.push_back({Word, options(C->entries())});
  } else if (auto *C = dynamic_cast<Parser::EvaluateClauseContext *>(Context)) {
    Stage.Evaluates.push_back(evaluate(C));
  } else if (auto *C = dynamic_cast<Parser::SaveClauseContext *>(Context)) {
    Stage.Saves.push_back(save(C));
  } else if (auto *C = dynamic_cast<Parser::LogClauseContext *>(Context)) {
    Stage.Logs.push_back(moment(C->moment()));
    Stage.Logs.back().Range = At;
  }
}

StartClause Builder::start(Parser::StartClauseContext *Context) {
  StartClause Made;
  Made.Range = range(Context);
  Made.Selectors = selectors(Context->selector());
  for (auto *C : Context->source()) {
    StartSource &Source = Made.Sources.emplace_back();
    Source.Range = range(C);
    if (C->stageRef()) {
      Source.Kind = StartSource::Stage;
      Source.From = stageRef(C->stageRef());
    } else if (C->STRING()) {
      Source.Kind = StartSource::File;
      auto Text = std::make_unique<StringExpr>(Source.Range);
      Text->Value = unescape(C->STRING());
      Source.Path = std::move(Text);
    } else if (C->dotted()) {
      Source.Kind = StartSource::File;
      Source.Path = reference(C->dotted());
    }
  }
  Made.With = options(Context->entries());
  return Made;
}

BatchEntry Builder::batchEntry(Parser::BatchEntryContext *Context) {
  BatchEntry Made;
  Made.Range = range(Context);
  if (auto *C = dynamic_cast<Parser::AccumulateEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Accumulate;
    Made.Name = {"accumulate", range(C->getStart(), C->getStart())};
    Made.Count = expr(C->expr());
    Made.With = options(C->entries());
  } else if (auto *C = dynamic_cast<Parser::LabelsEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Labels;
    Made.Name = ident(C->ident());
    Made.With = options(C->entries());
  } else if (auto *C = dynamic_cast<Parser::IdentityEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Identity;
    Made.Name = ident(C->ident());
    Made.With = options(C->entries());
  } else if (auto *C = dynamic_cast<Parser::WeightedEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Rows;
    Made.Name = ident(C->ident());
    Made.Count = expr(C->expr());
    auto Sources = std::make_unique<ListExpr>(range(C->weight().front()->getStart(), C->weight().back()->getStop()));
    for (auto *Weight : C->weight()) {
      Sources->Elements.push_back(expr(Weight->expr(0)));
      Made.Weights.push_back(expr(Weight->expr(1)));
    }
    Made.Source = std::move(Sources);
    Made.With = options(C->entries());
  } else if (auto *C = dynamic_cast<Parser::RowsEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Rows;
    Made.Name = ident(C->ident());
    Made.Count = expr(C->expr(0));
    Made.Source = expr(C->expr(1));
    Made.With = options(C->entries());
  } else if (auto *C = dynamic_cast<Parser::TextEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Text;
    Made.Name = ident(C->ident());
    Made.Source = expr(C->expr());
    Made.With = options(C->entries());
  } else if (auto *C = dynamic_cast<Parser::MixtureEntryContext *>(Context)) {
    Made.Kind = BatchEntry::Mixture;
    Made.Name = ident(C->ident());
    Made.Range = Made.Name.Range;
    for (auto *Branch : C->batchEntry())
      Made.Branches.push_back(batchEntry(Branch));
  }
  return Made;
}

EvaluateClause Builder::evaluate(Parser::EvaluateClauseContext *Context) {
  EvaluateClause Made;
  Made.Range = range(Context->getStart(), Context->expr()->getStop());
  Made.When = moment(Context->moment());
  Made.Dataset = expr(Context->expr());
  Made.With = options(Context->entries());
  // `evaluate "name" ... like "other"`: the name stands before the moment.
  size_t Before = Context->moment()->getStart()->getTokenIndex();
  for (auto *Text : Context->STRING()) {
    if (Text->getSymbol()->getTokenIndex() < Before)
      Made.Name = quoted(Text);
    else
      Made.Like = quoted(Text);
  }
  std::erase_if(Made.With, [&](Option &O) {
    if (O.Key.Text != "like" || !O.Value)
      return false;
    if (auto *Text = llvm::dyn_cast<StringExpr>(O.Value.get()))
      Made.Like = Ident{Text->Value, O.Value->Range};
    return true;
  });
  return Made;
}

SaveClause Builder::save(Parser::SaveClauseContext *Context) {
  SaveClause Made;
  Made.Range = range(Context);
  Made.When = moment(Context->moment());
  for (auto *O : Context->option())
    Made.With.push_back(option(O));
  for (Option &O : options(Context->entries()))
    Made.With.push_back(std::move(O));
  if (Context->ident())
    Made.As = ident(Context->ident());
  return Made;
}

} // namespace vcc::grammar
