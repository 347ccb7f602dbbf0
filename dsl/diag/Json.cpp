// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics for machines: one JSON array, one object per diagnostic.
#include "dsl/diag/Engine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

namespace vcc::diag {

static llvm::json::Value toJson(const SourceRange &Range) {
  if (!Range.isKnown())
    return nullptr;
  return llvm::json::Object{{"file", llvm::json::fixUTF8(Range.File)},
                            {"line", Range.Line},
                            {"column", Range.Column},
                            {"end_line", Range.EndLine},
                            {"end_column", Range.EndColumn}};
}

static llvm::json::Object toJson(const SourceRange &Range, const std::string &Text) {
  return llvm::json::Object{{"range", toJson(Range)}, {"text", llvm::json::fixUTF8(Text)}};
}

static llvm::json::Object toJson(const Diagnostic &D) {
  llvm::json::Array Labels, Notes, Help;
  for (const Label &Label : D.Secondary)
    Labels.push_back(toJson(Label.Range, Label.Text));
  for (const Note &Note : D.Notes)
    Notes.push_back(toJson(Note.Range, Note.Text));
  for (const std::string &Text : D.Help)
    Help.push_back(llvm::json::fixUTF8(Text));
  return llvm::json::Object{
          {"code", D.Kind->Code},
          {"name", D.Kind->Name},
          {"severity", D.Kind->Level == Severity::Error ? "error" : "warning"},
          {"message", llvm::json::fixUTF8(D.Message)},
          {"primary", toJson(D.Primary.Range, D.Primary.Text)},
          {"labels", std::move(Labels)},
          {"notes", std::move(Notes)},
          {"help", std::move(Help)},
          {"times", D.Times}};
}

void Engine::printJson(llvm::raw_ostream &OS) const {
  llvm::json::Array All;
  for (const Diagnostic &D : Diagnostics)
    All.push_back(toJson(D));
  OS << llvm::formatv("{0:2}", llvm::json::Value(std::move(All))) << '\n';
}

} // namespace vcc::diag
