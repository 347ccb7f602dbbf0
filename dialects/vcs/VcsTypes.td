// SPDX-License-Identifier: Apache-2.0
// The one type of the dialect: whatever an expression evaluates to at compile time (a number, a part, a tensor, ...).
#ifndef VCC_DIALECTS_VCS_TYPES
#define VCC_DIALECTS_VCS_TYPES

include "mlir/IR/AttrTypeBase.td"
include "dialects/vcs/VcsDialect.td"

def Vcs_Value : TypeDef<Vcs_Dialect, "Value"> {
  let mnemonic = "value";
  let summary = "the value of a recipe's expression";
}

#endif
