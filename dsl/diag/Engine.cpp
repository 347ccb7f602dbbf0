// SPDX-License-Identifier: Apache-2.0
//
// Collecting diagnostics.
#include "dsl/diag/Engine.h"

namespace vcc::diag {

// More than this tells nobody anything.
static constexpr size_t MostDiagnostics = 100;

llvm::StringRef SourceTexts::line(llvm::StringRef File, unsigned Line) const {
  auto Found = Texts.find(std::string_view(File.data(), File.size()));
  if (Found == Texts.end() || Line == 0)
    return {};
  llvm::StringRef Rest = Found->second;
  for (unsigned I = 1; I < Line; ++I) {
    size_t End = Rest.find('\n');
    if (End == llvm::StringRef::npos)
      return {};
    Rest = Rest.drop_front(End + 1);
  }
  return Rest.take_until([](char C) { return C == '\n'; }).rtrim('\r');
}

Builder::~Builder() {
  if (Owner)
    Owner->add(std::move(Made));
}

Builder &Builder::primary(const llvm::Twine &Text) {
  Made.Primary.Text = Text.str();
  return *this;
}

Builder &Builder::label(const SourceRange &Range, const llvm::Twine &Text) {
  if (Range.isKnown())
    Made.Secondary.push_back({Range, Text.str()});
  return *this;
}

Builder &Builder::note(const llvm::Twine &Text) { return note(SourceRange(), Text); }

Builder &Builder::note(const SourceRange &Range, const llvm::Twine &Text) {
  Made.Notes.push_back({Range, Text.str()});
  return *this;
}

Builder &Builder::help(const llvm::Twine &Text) {
  Made.Help.push_back(Text.str());
  return *this;
}

Builder &Builder::didYouMean(llvm::StringRef Written, const std::vector<std::string> &Candidates) {
  std::string Guess = nearest(Written, Candidates);
  return Guess.empty() ? *this : help("did you mean `" + Guess + "`?");
}

void Engine::add(Diagnostic Made) {
  for (Diagnostic &Earlier : Diagnostics)
    if (Earlier.Kind == Made.Kind && Earlier.Message == Made.Message && Earlier.Primary.Range == Made.Primary.Range) {
      ++Earlier.Times;
      return;
    }
  if (Made.Kind->Level == Severity::Error)
    ++Errors;
  if (Diagnostics.size() == MostDiagnostics) {
    ++Dropped;
    return;
  }
  Diagnostics.push_back(std::move(Made));
}

std::string Engine::compose(llvm::StringRef Format, const std::vector<std::string> &Parameters) {
  std::string Text;
  while (!Format.empty()) {
    if (Format.size() >= 3 && Format[0] == '{' && Format[2] == '}') {
      size_t Index = Format[1] - '0';
      if (Index < Parameters.size())
        Text += Parameters[Index];
      Format = Format.drop_front(3);
      continue;
    }
    Text += Format.front();
    Format = Format.drop_front();
  }
  return Text;
}

const std::vector<const KindInfo *> &allKinds() {
  static const std::vector<const KindInfo *> Kinds = {
#define VCC_KIND(Id, ...) &kinds::Id,
#include "dsl/diag/Kinds.def"
  };
  return Kinds;
}

const KindInfo *findKind(llvm::StringRef CodeOrName) {
  for (const KindInfo *Kind : allKinds())
    if (CodeOrName.equals_insensitive(Kind->Code) || CodeOrName == Kind->Name)
      return Kind;
  return nullptr;
}

} // namespace vcc::diag
