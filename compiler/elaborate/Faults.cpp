// SPDX-License-Identifier: Apache-2.0
//
// Faults of elaboration as diagnostics of the language.
#include "compiler/elaborate/Faults.h"

#include "compiler/elaborate/Evaluator.h"
#include "dialects/vcs/Locations.h"

namespace vcc::elaborate {

static const diag::KindInfo &kindInfo(FaultKind kind) {
  switch (kind) {
  case FaultKind::NotSupported:
    return diag::kinds::NotSupportedYet;
  case FaultKind::UnknownKey:
    return diag::kinds::UnknownKey;
  case FaultKind::MissingKey:
    return diag::kinds::MissingKey;
  case FaultKind::UnknownField:
    return diag::kinds::UnknownMember;
  case FaultKind::LoraSiteMatchesNothing:
    return diag::kinds::LoraSiteMatchesNothing;
  case FaultKind::SelectorMatchesNothing:
    return diag::kinds::SelectorMatchesNothing;
  case FaultKind::TrainedAndFrozen:
    return diag::kinds::WeightBothTrainedAndFrozen;
  case FaultKind::NeitherTrainedNorFrozen:
    return diag::kinds::WeightNeitherTrainedNorFrozen;
  case FaultKind::NoPathToLoss:
    return diag::kinds::TrainedWeightWithoutLoss;
  case FaultKind::StageDoesNotProduce:
    return diag::kinds::StageSourceLacksWeight;
  case FaultKind::StartIncomplete:
    return diag::kinds::WeightWithoutStart;
  case FaultKind::IdleHasLoss:
    return diag::kinds::IdleWeightHasLoss;
  case FaultKind::NotInUse:
    return diag::kinds::UnusedComponent;
  case FaultKind::NothingToRecompute:
    return diag::kinds::NothingToRecompute;
  case FaultKind::GradientsWithoutLimit:
    return diag::kinds::GradientsWithoutLimit;
  case FaultKind::ShapeMismatch:
    return diag::kinds::ShapeMismatch;
  case FaultKind::TypeMismatch:
    return diag::kinds::WrongType;
  case FaultKind::MissingArgument:
    return diag::kinds::MissingArgument;
  case FaultKind::UnknownArgument:
    return diag::kinds::UnknownArgument;
  case FaultKind::UnitMismatch:
    return diag::kinds::UnitMismatch;
  case FaultKind::DivisionByZero:
    return diag::kinds::DivisionByZero;
  case FaultKind::IndexOutOfRange:
    return diag::kinds::IndexOutOfRange;
  case FaultKind::PrecisionUnsupported:
    return diag::kinds::PrecisionUnsupported;
  case FaultKind::NotCompileTime:
    return diag::kinds::NotCompileTime;
  case FaultKind::DuplicateArgument:
    return diag::kinds::DuplicateArgument;
  case FaultKind::TooManyArguments:
    return diag::kinds::TooManyArguments;
  case FaultKind::NumberTooLarge:
    return diag::kinds::NumberTooLarge;
  case FaultKind::EvaluationTooLong:
    return diag::kinds::EvaluationTooLong;
  case FaultKind::BadValue:
    return diag::kinds::BadValue;
  case FaultKind::IdOutOfRange:
    return diag::kinds::IdOutOfRange;
  case FaultKind::TooDeep:
    return diag::kinds::RecursionTooDeep;
  }
  return diag::kinds::BadValue;
}

static diag::SourceRange rangeOf(mlir::Location loc) {
  vcs::SourceSpan span = vcs::spanOf(loc);
  return {span.File.str(), span.Line, span.Column, span.EndLine, span.EndColumn};
}

bool EngineSink::inLibrary(mlir::Location loc) const {
  vcs::SourceSpan span = vcs::spanOf(loc);
  return !stdlibDir.empty() && span.File.starts_with(stdlibDir);
}

void EngineSink::report(FaultRecord record) {
  diag::Diagnostic made;
  made.Kind = &kindInfo(record.kind);
  count += made.Kind->Level == diag::Severity::Error;
  made.Message = std::move(record.message);
  made.Primary = {rangeOf(record.loc), std::move(record.label)};
  if (evaluator && inLibrary(record.loc)) {
    for (const Evaluator::Call &call : llvm::reverse(evaluator->calls())) {
      if (inLibrary(call.loc))
        continue;
      if (rangeOf(call.loc).isKnown()) {
        made.Notes.push_back({made.Primary.Range, "noticed here, inside the standard library"});
        made.Primary = {rangeOf(call.loc), "in this use of `" + call.callee + "`"};
      }
      break;
    }
  }
  for (FaultNote &note : record.notes) {
    diag::SourceRange range = rangeOf(note.loc);
    if (range.isKnown() && !(range == made.Primary.Range))
      made.Notes.push_back({range, std::move(note.text)});
  }
  if (evaluator && evaluator->function && !evaluator->function->variant.empty())
    made.Notes.push_back({made.Primary.Range, "in the step variant `" + evaluator->function->variant + "`"});
  if (!record.help.empty())
    made.Help.push_back(std::move(record.help));
  engine.add(std::move(made));
}

std::string suggest(llvm::StringRef wanted, const std::vector<std::string> &known) {
  std::string near = diag::nearest(wanted, known);
  if (!near.empty())
    return "did you mean `" + near + "`?";
  return !known.empty() && known.size() <= 12 ? "there are " + diag::list(known, 12) : "";
}

} // namespace vcc::elaborate
