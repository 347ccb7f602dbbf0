// SPDX-License-Identifier: Apache-2.0
//
// Random family: ten rounds of two products and four exclusive-ors; a normal draw adds logarithm, root and cos.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

static constexpr int64_t PhiloxOps = 10 * 8;

int64_t RandomUniformOp::flops() { return PhiloxOps * getType().getNumElements(); }
int64_t RandomNormalOp::flops() { return (PhiloxOps + 6) * getType().getNumElements(); }
int64_t DrawUniformOp::flops() { return PhiloxOps * tensorType(getResult()).getNumElements(); }
int64_t DrawNormalOp::flops() { return (PhiloxOps + 6) * tensorType(getResult()).getNumElements(); }
