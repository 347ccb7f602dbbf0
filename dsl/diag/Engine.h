// SPDX-License-Identifier: Apache-2.0
//
// The diagnostics engine: kinds with typed parameters, labels at several places, notes and help; collects any number of diagnostics in a
// run, reports a repeated one once with a count, and writes them for a terminal or as JSON.
//
//   Engine.report(kinds::UnknownName, Range, "layer", "Linaer").primary("not declared here").help("did you mean `Linear`?");
#ifndef VCC_DSL_DIAG_ENGINE_H
#define VCC_DSL_DIAG_ENGINE_H

#include "dsl/diag/Source.h"
#include "dsl/diag/Values.h"
#include "llvm/Support/raw_ostream.h"

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace vcc::diag {

enum class Severity { Error, Warning };

struct KindInfo {
  const char *Code, *Name;
  Severity Level;
  const char *Format;
};

/// A kind whose message takes parameters of the types `P`.
template <class... P> struct Kind : KindInfo {};

namespace kinds {
#define VCC_KIND(Id, Code, Name_, Level, Format, ...)                                                                  \
  inline constexpr Kind<__VA_ARGS__> Id{{Code, Name_, Severity::Level, Format}};
#include "dsl/diag/Kinds.def"
} // namespace kinds

/// Every kind, in the order of Kinds.def.
const std::vector<const KindInfo *> &allKinds();

/// The kind of that code or name, or null.
const KindInfo *findKind(llvm::StringRef CodeOrName);

/// The text of `vcc explain` for a kind (Markdown).
llvm::StringRef explain(const KindInfo &Kind);

struct Label {
  SourceRange Range;
  std::string Text;
};

struct Note {
  SourceRange Range; // may be unknown
  std::string Text;
};

struct Diagnostic {
  const KindInfo *Kind = nullptr;
  std::string Message;
  Label Primary;
  std::vector<Label> Secondary;
  std::vector<Note> Notes;
  std::vector<std::string> Help;
  unsigned Times = 1;
};

class Engine;

/// A diagnostic being made; it is handed to the engine at the end of the statement.
class Builder {
public:
  Builder(Engine &Owner, Diagnostic Made) : Owner(&Owner), Made(std::move(Made)) {}
  Builder(Builder &&Other) : Owner(Other.Owner), Made(std::move(Other.Made)) { Other.Owner = nullptr; }
  Builder(const Builder &) = delete;
  ~Builder();

  /// What is written beside the carets.
  Builder &primary(const llvm::Twine &Text);
  /// Another place of the same fault.
  Builder &label(const SourceRange &Range, const llvm::Twine &Text);
  Builder &note(const llvm::Twine &Text);
  Builder &note(const SourceRange &Range, const llvm::Twine &Text);
  Builder &help(const llvm::Twine &Text);
  /// Help "did you mean ...?" where one of `Candidates` is near.
  Builder &didYouMean(llvm::StringRef Written, const std::vector<std::string> &Candidates);

private:
  Engine *Owner;
  Diagnostic Made;
};

class Engine {
public:
  template <class... P>
  Builder report(const Kind<P...> &Kind, const SourceRange &Range, std::type_identity_t<P>... Parameters) {
    Diagnostic Made;
    Made.Kind = &Kind;
    Made.Message = compose(Kind.Format, {format(Parameters)...});
    Made.Primary.Range = Range;
    return Builder(*this, std::move(Made));
  }

  void add(Diagnostic Made);

  bool hasErrors() const { return Errors != 0; }
  unsigned errorCount() const { return Errors; }
  const std::vector<Diagnostic> &diagnostics() const { return Diagnostics; }
  SourceTexts &sources() { return Sources; }
  const SourceTexts &sources() const { return Sources; }

  void printConsole(llvm::raw_ostream &OS, bool Colors = false) const;
  void printJson(llvm::raw_ostream &OS) const;

private:
  static std::string compose(llvm::StringRef Format, const std::vector<std::string> &Parameters);

  std::vector<Diagnostic> Diagnostics;
  SourceTexts Sources;
  unsigned Errors = 0, Dropped = 0;
};

} // namespace vcc::diag

#endif
