// SPDX-License-Identifier: Apache-2.0
//
// Loss family: the loss has a backward of its own; log-sum-exp has the softmax, from ordinary operations.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult CrossEntropyOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                       SmallVectorImpl<Value> &Out) {
  Location Loc = getLoc();
  auto Logits = tensorType(getLogits());
  if (Cotangents[0])
    Out[0] = B.create<CrossEntropyGradOp>(Loc, getLogits(), getLabels(), getLse(), Cotangents[0], getSmoothingAttr(),
                                          getIgnoreAttr());
  if (!Cotangents[1])
    return success();
  auto Rows = [&](Value PerRow) -> Value {
    if (tensorType(PerRow).getElementType() != Logits.getElementType())
      PerRow = B.create<CastOp>(Loc, Logits.clone(tensorType(PerRow).getShape()), PerRow);
    return buildBroadcast(B, Loc, PerRow, Logits, 1);
  };
  Value P = B.create<ExpOp>(Loc, B.create<SubOp>(Loc, getLogits(), Rows(getLse())));
  Value FromLse = B.create<MulOp>(Loc, P, Rows(Cotangents[1]));
  Out[0] = Out[0] ? B.create<AddOp>(Loc, Out[0], FromLse).getResult() : FromLse;
  return success();
}
