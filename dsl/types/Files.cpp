// SPDX-License-Identifier: Apache-2.0
//
// The check for missing files.
#include "dsl/types/Files.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace vcc::syntax;

namespace vcc::types {

static bool isThere(const std::string &Dir, const std::string &Name) {
  llvm::SmallString<256> Path;
  if (llvm::sys::path::is_relative(Name))
    Path = Dir;
  llvm::sys::path::append(Path, Name);
  return llvm::sys::fs::exists(Path);
}

static std::vector<std::string> filesIn(const std::string &Dir) {
  std::vector<std::string> Names;
  std::error_code Error;
  for (llvm::sys::fs::directory_iterator At(Dir, Error), End; At != End && !Error && Names.size() < 1000; At.increment(Error))
    Names.push_back(llvm::sys::path::filename(At->path()).str());
  return Names;
}

static void check(const Expr *E, const std::string &Dir, diag::Engine &Engine) {
  auto *Text = llvm::dyn_cast_if_present<StringExpr>(E);
  if (!Text || isThere(Dir, Text->Value))
    return;
  Engine.report(diag::kinds::MissingFile, Text->Range, Text->Value)
      .primary("looked for in " + Dir)
      .didYouMean(Text->Value, filesIn(Dir));
}

static void checkArguments(const Expr *Source, const std::string &Dir, diag::Engine &Engine) {
  auto *Call = llvm::dyn_cast_if_present<CallExpr>(Source);
  if (!Call)
    return;
  for (const Argument &A : Call->Arguments)
    if (!A.Name || A.Name->Text == "media" || A.Name->Text == "file")
      check(A.Value.get(), Dir, Engine);
}

void checkFiles(const Module &Module, const std::string &DataDir, const std::string &WeightsDir, diag::Engine &Engine) {
  for (const DeclPtr &D : Module.Declarations) {
    if (!DataDir.empty())
      if (auto *Dataset = llvm::dyn_cast<DatasetDecl>(D.get()))
        checkArguments(Dataset->Source.get(), DataDir, Engine);
    if (!DataDir.empty())
      if (auto *Tokenizer = llvm::dyn_cast<TokenizerDecl>(D.get()))
        checkArguments(Tokenizer->Source.get(), DataDir, Engine);
    if (auto *Stage = llvm::dyn_cast<StageDecl>(D.get()); Stage && !WeightsDir.empty())
      for (const StartClause &Start : Stage->Starts)
        if (Start.Sources.size() == 1 && Start.Sources.front().Kind == StartSource::File)
          check(Start.Sources.front().Path.get(), WeightsDir, Engine);
  }
}

} // namespace vcc::types
