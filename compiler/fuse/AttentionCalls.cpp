// SPDX-License-Identifier: Apache-2.0
#include "compiler/fuse/AttentionCalls.h"
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc;

static bool cudnnTakes(RankedTensorType q) {
  int64_t size = q.getDimSize(3);
  bool narrow = q.getElementType().isBF16() || q.getElementType().isF16();
  return narrow && size % 8 == 0 && size <= 128;
}

/// What both GPUs that programs are assembled for can do forward and backward: operands of 2 bytes, head sizes of whole 16-byte
/// accesses up to 128, one sequence in a row. A query that sees no key at all would give what is not a number, so none may
/// be sure to exist; where lengths and a causal mask meet, the library counts from the last key of each sample. One query on one key is
/// none of its shapes (its own frontend refuses it backward).
template <typename Op> static bool cudnnCan(Op op) {
  int64_t queries = tg::tensorType(op.getQ()).getDimSize(1), keys = tg::tensorType(op.getK()).getDimSize(1);
  if (!cudnnTakes(tg::tensorType(op.getQ())) || op.getStarts() || (queries == 1 && keys == 1))
    return false;
  return !op.getCausal() || (op.getLengths() ? queries == keys : queries <= keys);
}

template <typename Op> static bool splitsOp(fuse::Attentions split, Op op) {
  if (!op.getDropout().isZero() || split == fuse::Attentions::All)
    return true;
  return split == fuse::Attentions::Unsupported && !cudnnCan(op);
}

bool fuse::splits(Attentions split, tg::AttentionOp op) { return splitsOp(split, op); }
bool fuse::splits(Attentions split, tg::AttentionGradOp op) { return splitsOp(split, op); }

bool fuse::canSeparate(tg::AttentionOp op) {
  return op.getSamples() && op.getDropout().isZero() && cudnnTakes(tg::tensorType(op.getQ()));
}
