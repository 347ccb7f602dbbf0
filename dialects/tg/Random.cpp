// SPDX-License-Identifier: Apache-2.0
//
// Random family: verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Random.cpp.inc"

static LogicalResult verifyDraw(Operation *Op, Value Rng, RankedTensorType Result) {
  if (tensorType(Rng).getShape() != ArrayRef<int64_t>{4})
    return Op->emitOpError("rng must be tensor<4xi32> but is ") << Rng.getType();
  if (Result.getRank() == 0)
    return Op->emitOpError("needs axis 0, the samples, but its result is a scalar");
  return success();
}
LogicalResult RandomUniformOp::verify() { return verifyDraw(*this, getRng(), getType()); }
LogicalResult RandomNormalOp::verify() { return verifyDraw(*this, getRng(), getType()); }
