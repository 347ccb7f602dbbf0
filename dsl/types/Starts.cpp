// SPDX-License-Identifier: Apache-2.0
//
// What a `start` line says about the files it names: which part of them (`inside`) and by which keys (`rename`).
#include "dsl/types/Keys.h"
#include "dsl/types/Stages.h"

#include <algorithm>

using namespace vcc::syntax;

namespace vcc::types {

static void checkRename(const Option::Rename &Rule, diag::Engine &Engine) {
  auto Bad = [&](const std::string &Text) { return Engine.report(diag::kinds::BadValue, Rule.Range, Text); };
  if (Rule.From.empty())
    Bad("a pattern of keys is empty").help("`\"*\"` is every key");
  else if (Rule.From.find("**") != std::string::npos)
    Bad("the pattern `" + Rule.From + "` has `**`").help("one `*` stands for any part of a key, dots included");
  else if (!Rule.To.empty() &&
           std::count(Rule.From.begin(), Rule.From.end(), '*') != std::count(Rule.To.begin(), Rule.To.end(), '*'))
    Bad("`" + Rule.From + "` and `" + Rule.To + "` differ in their number of `*`")
        .help("each `*` on the right is what the one at its place on the left stands for; `-> \"\"` leaves keys out");
}

void checkStart(const StartClause &Start, diag::Engine &Engine) {
  bool HasFile = std::any_of(Start.Sources.begin(), Start.Sources.end(),
                             [](const StartSource &Source) { return Source.Kind == StartSource::File; });
  for (const char *Name : {"rename", "inside"})
    if (const Option *O = findOption(Start.With, Name); O && !HasFile)
      Engine.report(diag::kinds::BadValue, O->Key.Range, "`" + O->Key.Text + "` is about a file, but this line names none");
  if (const Option *Inside = findOption(Start.With, "inside"))
    if (Inside->Value && !llvm::isa<StringExpr>(Inside->Value.get()))
      Engine.report(diag::kinds::WrongType, Inside->Value->Range, "`inside`", "an expression", "a string");
  const Option *Rename = findOption(Start.With, "rename");
  if (!Rename)
    return;
  const std::vector<Option::Rename> &Rules = Rename->Renames;
  for (size_t I = 0; I < Rules.size(); ++I) {
    checkRename(Rules[I], Engine);
    auto Old = std::find_if(Rules.begin(), Rules.begin() + I, [&](auto &R) { return R.From == Rules[I].From; });
    if (Old != Rules.begin() + I)
      Engine.report(diag::kinds::DuplicateKey, Rules[I].Range, Rules[I].From).label(Old->Range, "first here");
  }
}

} // namespace vcc::types
