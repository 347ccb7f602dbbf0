// SPDX-License-Identifier: Apache-2.0
//
// Selectors to attributes: braces become alternatives of their own, each segment keeps its place in the file.
#include "dsl/emit/Emitter.h"

#include <limits>

using namespace vcc::syntax;

namespace vcc::emit {

// `{a, b}.{c, d}.{e, f} ...` grows without end; no model has this many parts that one selector must name apart.
static constexpr size_t MostAlternatives = 4096;

vcs::SegmentAttr Emitter::segment(const SelectorStep &Step) {
  static constexpr int64_t Open = std::numeric_limits<int64_t>::max();
  unsigned Length = Step.Range.EndLine == Step.Range.Line ? Step.Range.EndColumn - Step.Range.Column : 1;
  auto Make = [&](vcs::SegmentKind Kind, llvm::StringRef Name, int64_t First, int64_t Last) {
    return vcs::SegmentAttr::get(&Context, Kind, Builder.getStringAttr(Name), First, Last, Step.Range.Line, Step.Range.Column, Length);
  };
  switch (Step.Kind) {
  case StepKind::Name: return Make(vcs::SegmentKind::Name, Step.Name, 0, 0);
  case StepKind::Any: return Make(vcs::SegmentKind::Any, "", 0, 0);
  case StepKind::Index: return Make(vcs::SegmentKind::Index, "", Step.First.value_or(0), Step.First.value_or(0));
  case StepKind::Range: return Make(vcs::SegmentKind::Range, "", Step.First.value_or(0), Step.Last.value_or(Open));
  default: return Make(vcs::SegmentKind::AllIndices, "", 0, 0);
  }
}

void Emitter::expand(const SelectorPath &Path, size_t At, mlir::SmallVector<vcs::SegmentAttr> &Prefix,
                     mlir::SmallVector<vcs::PathAttr> &Into) {
  if (Into.size() >= MostAlternatives)
    return;
  // `At` counts steps; alternatives continue with the steps behind their brace.
  struct Frame {
    const SelectorPath *Path;
    size_t Next;
  };
  std::function<void(std::vector<Frame>)> Walk = [&](std::vector<Frame> Rest) {
    size_t Kept = Prefix.size();
    while (!Rest.empty() && Into.size() < MostAlternatives) {
      Frame &Here = Rest.back();
      if (Here.Next == Here.Path->Steps.size()) {
        Rest.pop_back();
        continue;
      }
      const SelectorStep &Step = Here.Path->Steps[Here.Next++];
      if (Step.Kind != StepKind::Alternatives) {
        Prefix.push_back(segment(Step));
        continue;
      }
      for (const SelectorPath &Alternative : Step.Alternatives) {
        std::vector<Frame> More = Rest;
        More.push_back({&Alternative, 0});
        Walk(std::move(More));
      }
      Prefix.resize(Kept);
      return;
    }
    Into.push_back(vcs::PathAttr::get(&Context, Prefix));
    Prefix.resize(Kept);
  };
  Walk({{&Path, At}});
}

vcs::SelectorAttr Emitter::selector(const std::vector<const SelectorPath *> &Paths, const std::vector<SelectorPath> &Except) {
  mlir::SmallVector<vcs::PathAttr> Alternatives, Excepted;
  mlir::SmallVector<vcs::SegmentAttr> Prefix;
  for (const SelectorPath *Path : Paths)
    expand(*Path, 0, Prefix, Alternatives);
  for (const SelectorPath &Path : Except)
    expand(Path, 0, Prefix, Excepted);
  if (Alternatives.size() >= MostAlternatives || Excepted.size() >= MostAlternatives)
    Engine.report(diag::kinds::EvaluationTooLong, Paths.front()->Range, "this selector", std::to_string(MostAlternatives) + " alternatives");
  return vcs::SelectorAttr::get(&Context, Alternatives, Excepted);
}

vcs::SelectorAttr Emitter::selector(const Selector &S) { return selector({&S.Path}, S.Except); }

mlir::ArrayAttr Emitter::selectors(const std::vector<Selector> &S) {
  mlir::SmallVector<mlir::Attribute> Attrs;
  for (const Selector &Each : S)
    Attrs.push_back(selector(Each));
  return Builder.getArrayAttr(Attrs);
}

} // namespace vcc::emit
