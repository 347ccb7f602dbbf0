// SPDX-License-Identifier: Apache-2.0
//
// Indexing family: gather and scatter_add are each other's transposes, stray indices included.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult GatherOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                 SmallVectorImpl<Value> &Out) {
  Out[0] = B.create<ScatterAddOp>(getLoc(), getIds(), Cotangents[0], tensorType(getTable()).getDimSize(0));
  return success();
}

LogicalResult ScatterAddOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                     SmallVectorImpl<Value> &Out) {
  Out[1] = B.create<GatherOp>(getLoc(), Cotangents[0], getIds());
  return success();
}
