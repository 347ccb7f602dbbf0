// SPDX-License-Identifier: Apache-2.0
//
// A recipe with everything that it imports: modules found, parsed once each, and the names that each of them sees.
#ifndef VCC_DSL_NAMES_PROGRAM_H
#define VCC_DSL_NAMES_PROGRAM_H

#include "dsl/diag/Engine.h"
#include "dsl/grammar/Parse.h"
#include "dsl/syntax/Declarations.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vcc::names {

struct ModuleInfo;

/// What a name of a module means: a declaration, or a module imported as a whole.
struct Binding {
  const ModuleInfo *Module = nullptr;
  const syntax::Decl *Declaration = nullptr; // null: the module itself
  diag::SourceRange Range;                   // where the name was introduced
};

struct ModuleInfo {
  std::string Name, File;
  std::unique_ptr<syntax::Module> Tree;
  std::map<std::string, const syntax::Decl *> Declarations;
  std::map<std::string, Binding> Names; // declarations and imports
};

struct Program {
  /// In an order where a module comes after those that it imports; the recipe is the last one.
  std::vector<std::unique_ptr<ModuleInfo>> Modules;
  const ModuleInfo *Main = nullptr, *Prelude = nullptr;

  const ModuleInfo *find(llvm::StringRef Name) const;
  /// The module that declares it.
  const ModuleInfo *homeOf(const syntax::Decl &Declaration) const;
  /// The declaration `Module.Name`, or null.
  const syntax::Decl *find(llvm::StringRef Module, llvm::StringRef Name) const;
};

/// Reads `File` and all that it imports; diagnostics where something is missing or declared twice. `Places` tells of keys that
/// stand outside of their blocks.
Program loadProgram(const std::string &File, const std::string &StdlibDir, diag::Engine &Engine, const grammar::PlacesOfKey &Places);

/// `layer`, `const`, ...: what a declaration is, for messages.
const char *describe(syntax::DeclKind Kind);

/// Names of the language itself, which no module declares: compile-time functions, element types, tokenizer algorithms.
bool isBuiltin(llvm::StringRef Name);
std::vector<std::string> builtinNames();

} // namespace vcc::names

#endif
