// SPDX-License-Identifier: Apache-2.0
//
// Resolves selectors against the instantiated model.
#ifndef VCC_COMPILER_ELABORATE_SELECTORS_H
#define VCC_COMPILER_ELABORATE_SELECTORS_H

#include "compiler/elaborate/Faults.h"
#include "compiler/elaborate/Parts.h"
#include "dialects/vcs/Vcs.h"
#include "llvm/ADT/SetVector.h"

namespace vcc::elaborate {

using WeightSet = llvm::SetVector<Weight *>;

/// The nodes that `selector` names, seen from `root`; a fault of kind `kind` where an alternative
/// names nothing. `loc` tells the file.
llvm::FailureOr<std::vector<PartNode *>> resolveNodes(vcs::SelectorAttr selector, PartNode &root,
                                                      mlir::Location loc, FaultKind kind,
                                                      FaultSink &faults);

/// The weights under what `selector` names, less what its `except` names.
llvm::FailureOr<WeightSet> resolveWeights(vcs::SelectorAttr selector, PartNode &root,
                                          mlir::Location loc, FaultSink &faults);

/// Takes what `except` names, relative to each of `nodes`, out of `weights`.
llvm::LogicalResult takeOut(llvm::ArrayRef<vcs::PathAttr> except, llvm::ArrayRef<PartNode *> nodes,
                            WeightSet &weights, mlir::Location loc, FaultSink &faults);

} // namespace vcc::elaborate

#endif
