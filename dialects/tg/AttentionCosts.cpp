// SPDX-License-Identifier: Apache-2.0
//
// Attention family: two products forward, five backward (scores are made again); a causal mask with Sq = Sk halves them.
// Where the sequences of a row start is known when the batch is, so that a row counts as one sequence: the most it can be.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

static int64_t products(RankedTensorType Q, RankedTensorType K, bool Causal, int64_t Count) {
  int64_t Pairs = Q.getDimSize(1) * K.getDimSize(1);
  if (Causal && Q.getDimSize(1) == K.getDimSize(1))
    Pairs = Q.getDimSize(1) * (Q.getDimSize(1) + 1) / 2;
  return 2 * Count * Q.getDimSize(0) * Q.getDimSize(2) * Q.getDimSize(3) * Pairs;
}

int64_t AttentionOp::flops() { return products(tensorType(getQ()), tensorType(getK()), getCausal(), 2); }
int64_t AttentionGradOp::flops() { return products(tensorType(getQ()), tensorType(getK()), getCausal(), 5); }
