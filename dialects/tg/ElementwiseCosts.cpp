// SPDX-License-Identifier: Apache-2.0
//
// Elementwise family: one operation per element, whatever the function; what only renames is free.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

#define PER_ELEMENT(OP)                                                                                                \
  int64_t OP::flops() { return tensorType(getResult()).getNumElements(); }
PER_ELEMENT(NegOp)
PER_ELEMENT(AbsOp)
PER_ELEMENT(ExpOp)
PER_ELEMENT(LogOp)
PER_ELEMENT(SqrtOp)
PER_ELEMENT(RsqrtOp)
PER_ELEMENT(TanhOp)
PER_ELEMENT(ErfOp)
PER_ELEMENT(SinOp)
PER_ELEMENT(CosOp)
PER_ELEMENT(SigmoidOp)
PER_ELEMENT(FloorOp)
PER_ELEMENT(NotOp)
PER_ELEMENT(AddOp)
PER_ELEMENT(SubOp)
PER_ELEMENT(MulOp)
PER_ELEMENT(DivOp)
PER_ELEMENT(MaxOp)
PER_ELEMENT(MinOp)
PER_ELEMENT(PowOp)
PER_ELEMENT(AndOp)
PER_ELEMENT(OrOp)
PER_ELEMENT(CompareOp)
PER_ELEMENT(SelectOp)
PER_ELEMENT(CastOp)
#undef PER_ELEMENT

int64_t ConstantOp::flops() { return 0; }
int64_t StopGradientOp::flops() { return 0; }
int64_t BarrierOp::flops() { return 0; }
