// SPDX-License-Identifier: Apache-2.0
//
// Movement family: nothing is computed but the sums between ranks. A reshape moves nothing either.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t BroadcastOp::flops() { return 0; }
int64_t ReshapeOp::flops() { return 0; }
int64_t TransposeOp::flops() { return 0; }
int64_t SliceOp::flops() { return 0; }
int64_t ConcatOp::flops() { return 0; }
int64_t PadOp::flops() { return 0; }
int64_t AllGatherOp::flops() { return 0; }
int64_t ReduceScatterOp::flops() {
  return tensorType(getX()).getNumElements() - getType().getNumElements();
}
