// SPDX-License-Identifier: Apache-2.0
//
// The explicit list of dialects and passes that vcc-opt knows.
#ifndef VCC_COMPILER_OPT_REGISTER_H
#define VCC_COMPILER_OPT_REGISTER_H

#include "mlir/IR/DialectRegistry.h"

namespace vcc::opt {

void registerDialects(mlir::DialectRegistry &registry);
void registerPasses();

} // namespace vcc::opt

#endif
