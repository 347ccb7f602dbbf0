// SPDX-License-Identifier: Apache-2.0
//
// Reduction family: vector-Jacobian products. Equal extremes share the cotangent equally. Softmax needs its result only.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult ReduceOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                 SmallVectorImpl<Value> &Out) {
  Location Loc = getLoc();
  auto Whole = tensorType(getX());
  ArrayRef<int64_t> Axes = getAxes();
  Value G = Cotangents[0];
  if (getKind() == ReduceKind::Sum) {
    Out[0] = buildBroadcast(B, Loc, G, Whole, Axes);
    return success();
  }
  Value Extreme = buildBroadcast(B, Loc, getResult(), Whole, Axes);
  Value Chosen = B.create<CompareOp>(Loc, getX(), Extreme, Predicate::Eq);
  Value Ones = B.create<CastOp>(Loc, Whole, Chosen);
  Value Share = B.create<DivOp>(Loc, G, buildSum(B, Loc, Ones, Axes));
  Out[0] = B.create<MulOp>(Loc, Ones, buildBroadcast(B, Loc, Share, Whole, Axes));
  return success();
}

LogicalResult SoftmaxOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                  SmallVectorImpl<Value> &Out) {
  Location Loc = getLoc();
  Value G = Cotangents[0], Y = getResult();
  int64_t Last = getType().getRank() - 1;
  Value Weighted = B.create<MulOp>(Loc, G, Y);
  Value Sum = buildBroadcast(B, Loc, buildSum(B, Loc, Weighted, Last), getType(), Last);
  Out[0] = B.create<MulOp>(Loc, Y, B.create<SubOp>(Loc, G, Sum));
  return success();
}

LogicalResult LogSoftmaxOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                     SmallVectorImpl<Value> &Out) {
  Location Loc = getLoc();
  Value G = Cotangents[0];
  int64_t Last = getType().getRank() - 1;
  Value Sum = buildBroadcast(B, Loc, buildSum(B, Loc, G, Last), getType(), Last);
  Value P = B.create<ExpOp>(Loc, getResult());
  Out[0] = B.create<SubOp>(Loc, G, B.create<MulOp>(Loc, P, Sum));
  return success();
}
