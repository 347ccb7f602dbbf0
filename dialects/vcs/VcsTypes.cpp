// SPDX-License-Identifier: Apache-2.0
//
// The dialect's type.
#include "dialects/vcs/Vcs.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#define GET_TYPEDEF_CLASSES
#include "dialects/vcs/VcsTypes.cpp.inc"

namespace vcc::vcs {
void VcsDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/vcs/VcsTypes.cpp.inc"
      >();
}
} // namespace vcc::vcs
