// SPDX-License-Identifier: Apache-2.0
//
// From text to the owned tree. The parser generator's headers stay inside this folder.
#ifndef VCC_DSL_GRAMMAR_PARSE_H
#define VCC_DSL_GRAMMAR_PARSE_H

#include "dsl/diag/Engine.h"
#include "dsl/syntax/Declarations.h"

#include <functional>

namespace vcc::grammar {

/// Where a word that fits nothing would stand as a key of a block.
using PlacesOfKey = std::function<std::vector<std::string>(llvm::StringRef)>;

/// The tree of a module, or null with diagnostics. `Text` is also what diagnostics quote for `File`.
std::unique_ptr<syntax::Module> parseModule(llvm::StringRef File, llvm::StringRef Text, diag::Engine &Engine, const PlacesOfKey &Places);

/// The tree of one expression (a -D value), or null with diagnostics.
syntax::ExprPtr parseExpression(llvm::StringRef File, llvm::StringRef Text, diag::Engine &Engine);

} // namespace vcc::grammar

#endif
