// SPDX-License-Identifier: Apache-2.0
//
// Are the files there that a recipe names? Asked only where the folders are given.
#ifndef VCC_DSL_TYPES_FILES_H
#define VCC_DSL_TYPES_FILES_H

#include "dsl/diag/Engine.h"
#include "dsl/syntax/Declarations.h"

namespace vcc::types {

/// Files of the module's datasets and tokenizers in `DataDir`, of its `start` clauses in `WeightsDir`; an empty folder is not looked into.
/// Only names written as strings are checked.
void checkFiles(const syntax::Module &Module, const std::string &DataDir, const std::string &WeightsDir, diag::Engine &Engine);

} // namespace vcc::types

#endif
