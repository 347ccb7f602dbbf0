// SPDX-License-Identifier: Apache-2.0
//
// Attention family: the backward is an operation of its own. Nothing may depend on lse but that backward.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult AttentionOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool> Needed,
                                    SmallVectorImpl<Value> &Out) {
  if (Cotangents[1])
    return emitOpError("has no gradient through its log-sum-exp");
  auto Grad = B.create<AttentionGradOp>(getLoc(), getQ(), getK(), getV(), getOut(), getLse(), Cotangents[0],
                                        getLengths(), getStarts(), getRng(), getCausalAttr(), getScaleAttr(), getDropoutAttr(),
                                        getSiteAttr());
  for (unsigned I = 0; I < 3; ++I)
    if (Needed[I])
      Out[I] = Grad->getResult(I);
  return success();
}
