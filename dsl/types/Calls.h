// SPDX-License-Identifier: Apache-2.0
//
// Calls of declarations: do the arguments fit the parameters by number and name? (Their values are checked when the call is evaluated.)
#ifndef VCC_DSL_TYPES_CALLS_H
#define VCC_DSL_TYPES_CALLS_H

#include "dsl/diag/Engine.h"
#include "dsl/syntax/Declarations.h"

namespace vcc::types {

/// The parameters of a callable declaration, or null for one that cannot be called.
const std::vector<syntax::Param> *paramsOf(const syntax::Decl &Declaration);

void checkCall(const syntax::CallExpr &Call, const syntax::Decl &Callee, diag::Engine &Engine);

} // namespace vcc::types

#endif
