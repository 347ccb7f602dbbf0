// SPDX-License-Identifier: Apache-2.0
//
// Movement family: nothing is computed. A reshape moves nothing either.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t BroadcastOp::flops() { return 0; }
int64_t ReshapeOp::flops() { return 0; }
int64_t TransposeOp::flops() { return 0; }
int64_t SliceOp::flops() { return 0; }
int64_t ConcatOp::flops() { return 0; }
int64_t PadOp::flops() { return 0; }
