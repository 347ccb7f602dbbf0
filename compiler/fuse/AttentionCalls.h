// SPDX-License-Identifier: Apache-2.0
//
// Which attention is left whole for a library to compute.
#ifndef VCC_COMPILER_FUSE_ATTENTIONCALLS_H
#define VCC_COMPILER_FUSE_ATTENTIONCALLS_H

#include "compiler/fuse/Passes.h"
#include "dialects/tg/Tg.h"

namespace vcc::fuse {

/// Whether an attention becomes products and rows.
bool splits(Attentions split, tg::AttentionOp op);
bool splits(Attentions split, tg::AttentionGradOp op);

/// Whether it becomes what cuDNN can do when the samples of its rows have rows of their own.
bool canSeparate(tg::AttentionOp op);

} // namespace vcc::fuse

#endif
