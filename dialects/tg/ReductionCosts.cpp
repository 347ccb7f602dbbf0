// SPDX-License-Identifier: Apache-2.0
//
// Reduction family: one combination per element; softmax: maximum, difference, exponential, sum, division.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t ReduceOp::flops() { return tensorType(getX()).getNumElements(); }
int64_t SoftmaxOp::flops() { return 5 * tensorType(getX()).getNumElements(); }
int64_t LogSoftmaxOp::flops() { return 5 * tensorType(getX()).getNumElements(); }
