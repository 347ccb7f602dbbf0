// SPDX-License-Identifier: Apache-2.0
//
// Attention as products and rows, for what the library call cannot do.
#ifndef VCC_COMPILER_FUSE_SPLITATTENTION_H
#define VCC_COMPILER_FUSE_SPLITATTENTION_H

#include "compiler/fuse/Passes.h"
#include "mlir/IR/PatternMatch.h"

namespace vcc::fuse {

/// The attention that is to be split, and its gradients, become matrix products, a softmax and draws. Scores of all queries are
/// then in memory.
void addSplitAttentionPatterns(mlir::RewritePatternSet &patterns, Attentions split);

} // namespace vcc::fuse

#endif
