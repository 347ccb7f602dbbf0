// SPDX-License-Identifier: Apache-2.0
//
// Elementwise family: vector-Jacobian products. G is the cotangent of the result, Y the result: where Y says it all
// (exp, tanh, sigmoid, sqrt ..), X need not be kept for the backward.
#include "dialects/tg/Build.h"

#include <cmath>

using namespace mlir;
using namespace vcc::tg;

namespace {

// Says arithmetic on tensors of one type in one line.
struct Arithmetic {
  OpBuilder &B;
  Location Loc;

  Value constant(Value Like, double Number) const { return buildSplat(B, Loc, tensorType(Like), Number); }
  Value add(Value L, Value R) const { return B.create<AddOp>(Loc, L, R); }
  Value sub(Value L, Value R) const { return B.create<SubOp>(Loc, L, R); }
  Value mul(Value L, Value R) const { return B.create<MulOp>(Loc, L, R); }
  Value div(Value L, Value R) const { return B.create<DivOp>(Loc, L, R); }
  Value neg(Value X) const { return B.create<NegOp>(Loc, X); }
  Value scale(Value X, double Number) const { return mul(X, constant(X, Number)); }
  Value compare(Predicate P, Value L, Value R) const { return B.create<CompareOp>(Loc, L, R, P); }
  Value select(Value C, Value L, Value R) const { return B.create<SelectOp>(Loc, C, L, R); }
  Value zero(Value Like) const { return constant(Like, 0.0); }
};

} // namespace

#define UNARY(OP, EXPRESSION)                                                                                          \
  LogicalResult OP::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,                                 \
                             SmallVectorImpl<Value> &Out) {                                                            \
    Arithmetic M{B, getLoc()};                                                                                         \
    Value G = Cotangents[0], X = getX(), Y = getResult();                                                              \
    (void)X;                                                                                                           \
    (void)Y;                                                                                                           \
    Out[0] = EXPRESSION;                                                                                               \
    return success();                                                                                                  \
  }
UNARY(NegOp, M.neg(G))
UNARY(AbsOp, M.select(M.compare(Predicate::Gt, X, M.zero(X)), G,
                      M.select(M.compare(Predicate::Lt, X, M.zero(X)), M.neg(G), M.zero(X))))
UNARY(ExpOp, M.mul(G, Y))
UNARY(LogOp, M.div(G, X))
UNARY(SqrtOp, M.div(M.scale(G, 0.5), Y))
UNARY(RsqrtOp, M.mul(M.scale(G, -0.5), M.mul(M.mul(Y, Y), Y)))
UNARY(TanhOp, M.mul(G, M.sub(M.constant(Y, 1.0), M.mul(Y, Y))))
UNARY(ErfOp, M.mul(M.scale(G, 2.0 / std::sqrt(M_PI)), B.create<ExpOp>(getLoc(), M.neg(M.mul(X, X)))))
UNARY(SinOp, M.mul(G, B.create<CosOp>(getLoc(), X)))
UNARY(CosOp, M.neg(M.mul(G, B.create<SinOp>(getLoc(), X))))
UNARY(SigmoidOp, M.mul(G, M.mul(Y, M.sub(M.constant(Y, 1.0), Y))))
#undef UNARY

#define BINARY(OP, LEFT, RIGHT)                                                                                        \
  LogicalResult OP::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool> Needed,                          \
                             SmallVectorImpl<Value> &Out) {                                                            \
    Arithmetic M{B, getLoc()};                                                                                         \
    Value G = Cotangents[0], L = getLhs(), R = getRhs(), Y = getResult();                                              \
    (void)L;                                                                                                           \
    (void)R;                                                                                                           \
    (void)Y;                                                                                                           \
    if (Needed[0])                                                                                                     \
      Out[0] = LEFT;                                                                                                   \
    if (Needed[1])                                                                                                     \
      Out[1] = RIGHT;                                                                                                  \
    return success();                                                                                                  \
  }
BINARY(AddOp, G, G)
BINARY(SubOp, G, M.neg(G))
BINARY(MulOp, M.mul(G, R), M.mul(G, L))
BINARY(DivOp, M.div(G, R), M.neg(M.div(M.mul(G, Y), R)))
BINARY(MaxOp, M.select(M.compare(Predicate::Ge, L, R), G, M.zero(G)),
       M.select(M.compare(Predicate::Ge, L, R), M.zero(G), G))
BINARY(MinOp, M.select(M.compare(Predicate::Le, L, R), G, M.zero(G)),
       M.select(M.compare(Predicate::Le, L, R), M.zero(G), G))
BINARY(PowOp, M.mul(G, M.mul(R, B.create<PowOp>(getLoc(), L, M.sub(R, M.constant(R, 1.0))))),
       M.mul(G, M.mul(Y, B.create<LogOp>(getLoc(), L))))
#undef BINARY

LogicalResult SelectOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool> Needed,
                                 SmallVectorImpl<Value> &Out) {
  Arithmetic M{B, getLoc()};
  Value G = Cotangents[0];
  if (Needed[1])
    Out[1] = M.select(getCondition(), G, M.zero(G));
  if (Needed[2])
    Out[2] = M.select(getCondition(), M.zero(G), G);
  return success();
}

LogicalResult CastOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>, SmallVectorImpl<Value> &Out) {
  Out[0] = B.create<CastOp>(getLoc(), getX().getType(), Cotangents[0]);
  return success();
}

LogicalResult BarrierOp::gradient(OpBuilder &, ArrayRef<Value> Cotangents, ArrayRef<bool> Needed,
                                  SmallVectorImpl<Value> &Out) {
  for (size_t I = 0; I < Out.size(); ++I)
    if (Needed[I])
      Out[I] = Cotangents[I];
  return success();
}
