// SPDX-License-Identifier: Apache-2.0
//
// Loss family: maximum, difference, exponential and sum per class; exponential, difference and product backward.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t CrossEntropyOp::flops() { return 4 * tensorType(getLogits()).getNumElements(); }
int64_t CrossEntropyGradOp::flops() { return 4 * tensorType(getLogits()).getNumElements(); }
