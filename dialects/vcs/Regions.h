// SPDX-License-Identifier: Apache-2.0
//
// What the verifiers of all ops check about their regions.
#ifndef VCC_DIALECTS_VCS_REGIONS_H
#define VCC_DIALECTS_VCS_REGIONS_H

#include "dialects/vcs/Vcs.h"

namespace vcc::vcs {

/// `Region` is one block with `Arguments` arguments that ends in `vcs.yield` of `Values` values. -1: any number.
mlir::LogicalResult verifyYield(mlir::Operation *Op, mlir::Region &Region, llvm::StringRef Name, int Values = 1,
                                int Arguments = 0);

/// `Region` is one block of `vcs.option` (and the other ops that `Also` admits).
mlir::LogicalResult verifyOptions(mlir::Operation *Op, mlir::Region &Region,
                                  llvm::function_ref<bool(mlir::Operation *)> Also = nullptr);

} // namespace vcc::vcs

#endif
