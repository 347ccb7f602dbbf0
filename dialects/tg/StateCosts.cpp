// SPDX-License-Identifier: Apache-2.0
//
// State family: an accumulating write adds.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t ReadOp::flops() { return 0; }
int64_t WriteOp::flops() { return getAccumulate() ? tensorType(getValue()).getNumElements() : 0; }
int64_t InputOp::flops() { return 0; }
int64_t OutputOp::flops() { return 0; }
int64_t LossOp::flops() { return 0; }
