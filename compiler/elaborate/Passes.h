// SPDX-License-Identifier: Apache-2.0
//
// Passes of the elaborate step.
#ifndef VCC_COMPILER_ELABORATE_PASSES_H
#define VCC_COMPILER_ELABORATE_PASSES_H

#include "mlir/Pass/Pass.h"

namespace vcc::elaborate {

#define GEN_PASS_DECL
#include "compiler/elaborate/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/elaborate/Passes.h.inc"

} // namespace vcc::elaborate

#endif
