// SPDX-License-Identifier: Apache-2.0
//
// Bodies of attention's row kernels. A key at or beyond the row's visible count has probability zero, whatever its score.
#include "compiler/codegen/cpu/AttentionKernels.h"

#include "compiler/codegen/cpu/KernelFrame.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <limits>

using namespace mlir;

namespace vcc::cpu {
namespace {

class AttentionBuilder {
public:
  AttentionBuilder(OpBuilder &Outer, Location Loc, int64_t Columns)
      : B(Loc, Outer), F32(B.getF32Type()), Row(RankedTensorType::get({Columns}, F32)),
        One(RankedTensorType::get({}, F32)), Count(RankedTensorType::get({}, B.getI32Type())), Columns(Columns) {}

  tg::KernelOp build(AttentionRole Role, StringRef Name);

private:
  using P = tg::ParamKind;
  using R = tg::ResultKind;
  void parameter(P Kind, Type Type) {
    Params.push_back(tg::ParamAttr::get(B.getContext(), Kind, 1, -1));
    Types.push_back(Type);
  }
  void result(R Kind, int64_t Shared) {
    Results.push_back(tg::ResultAttr::get(B.getContext(), Kind, 1, -1));
    InPlace.push_back(Shared);
  }
  void declare(AttentionRole Role);
  SmallVector<Value> body(AttentionRole Role, ValueRange Arguments);
  SmallVector<Value> softmax(Value Scores, Value Visible, Value Scale);
  Value spread(Value X) {
    Type T = RankedTensorType::get({Columns}, getElementTypeOrSelf(X.getType()));
    return B.create<tg::BroadcastOp>(T, X, B.getDenseI64ArrayAttr({}));
  }
  Value splat(double Number) {
    return B.create<tg::ConstantOp>(Row, DenseElementsAttr::get(Row, static_cast<float>(Number)));
  }
  Value seen(Value Visible) {
    auto Places = RankedTensorType::get({Columns}, B.getI32Type());
    Value Iota = B.create<tg::IotaOp>(Places, B.getI64IntegerAttr(0));
    return B.create<tg::CompareOp>(RankedTensorType::get({Columns}, B.getI1Type()), Iota, spread(Visible),
                                   tg::PredicateAttr::get(B.getContext(), tg::Predicate::Lt));
  }
  Value reduce(Value X, tg::ReduceKind Kind) {
    return B.create<tg::ReduceOp>(One, X, tg::ReduceKindAttr::get(B.getContext(), Kind), B.getDenseI64ArrayAttr({0}));
  }
  Value mul(Value A, Value C) { return B.create<tg::MulOp>(A.getType(), A, C); }
  Value sub(Value A, Value C) { return B.create<tg::SubOp>(A.getType(), A, C); }
  Value exp(Value A) { return B.create<tg::ExpOp>(A.getType(), A); }
  Value select(Value If, Value A, Value C) { return B.create<tg::SelectOp>(A.getType(), If, A, C); }

  ImplicitLocOpBuilder B;
  Type F32;
  RankedTensorType Row, One, Count;
  int64_t Columns;
  SmallVector<Type> Types;
  SmallVector<Attribute> Params, Results;
  SmallVector<int64_t> InPlace;
};

void AttentionBuilder::declare(AttentionRole Role) {
  switch (Role) {
  case AttentionRole::Softmax:
  case AttentionRole::Probabilities:
    parameter(P::Row, Row);
    parameter(P::Scalar, Count);
    if (Role == AttentionRole::Probabilities)
      parameter(P::Scalar, One);
    parameter(P::Uniform, One);
    result(R::Row, 0);
    if (Role == AttentionRole::Softmax)
      result(R::Scalar, -1);
    return;
  case AttentionRole::ScoreGrad:
    parameter(P::Row, Row);
    parameter(P::Row, Row);
    parameter(P::Scalar, One);
    parameter(P::Uniform, One);
    result(R::Row, 1);
    return;
  case AttentionRole::Delta:
    parameter(P::Row, Row);
    parameter(P::Row, Row);
    result(R::Scalar, -1);
    return;
  }
}

SmallVector<Value> AttentionBuilder::softmax(Value Scores, Value Visible, Value Scale) {
  Value Seen = seen(Visible), Zero = splat(0);
  Value Scaled = mul(Scores, spread(Scale));
  Value Largest = reduce(select(Seen, Scaled, splat(-std::numeric_limits<float>::infinity())), tg::ReduceKind::Max);
  Value E = select(Seen, exp(sub(Scaled, spread(Largest))), Zero);
  Value Sum = reduce(E, tg::ReduceKind::Sum);
  Value Unit = B.create<tg::ConstantOp>(One, DenseElementsAttr::get(One, 1.0f));
  Value Inverse = B.create<tg::DivOp>(One, Unit, Sum);
  Value Probabilities = select(Seen, mul(E, spread(Inverse)), Zero);
  Value Log = B.create<tg::LogOp>(One, Sum);
  return {Probabilities, B.create<tg::AddOp>(One, Largest, Log)};
}

SmallVector<Value> AttentionBuilder::body(AttentionRole Role, ValueRange A) {
  switch (Role) {
  case AttentionRole::Softmax:
    return softmax(A[0], A[1], A[2]);
  case AttentionRole::Probabilities:
    return {select(seen(A[1]), exp(sub(mul(A[0], spread(A[3])), spread(A[2]))), splat(0))};
  case AttentionRole::ScoreGrad:
    return {mul(mul(A[0], spread(A[3])), sub(A[1], spread(A[2])))};
  case AttentionRole::Delta:
    return {reduce(mul(A[0], A[1]), tg::ReduceKind::Sum)};
  }
  return {};
}

tg::KernelOp AttentionBuilder::build(AttentionRole Role, StringRef Name) {
  declare(Role);
  auto Class = tg::KernelClassAttr::get(B.getContext(), tg::KernelClass::Row);
  auto Kernel = B.create<tg::KernelOp>(B.getStringAttr(Name), Class, B.getI64IntegerAttr(Columns),
                                       B.getArrayAttr(Params), B.getArrayAttr(Results));
  Kernel->setAttr(InPlaceAttrName, B.getDenseI64ArrayAttr(InPlace));
  Block *Body = B.createBlock(&Kernel.getBody(), {}, Types, SmallVector<Location>(Types.size(), B.getLoc()));
  B.create<tg::YieldOp>(body(Role, Body->getArguments()));
  B.setInsertionPointAfter(Kernel);
  return Kernel;
}

} // namespace

tg::KernelOp buildAttentionKernel(OpBuilder &B, Location Loc, AttentionRole Role, int64_t Columns, StringRef Name) {
  return AttentionBuilder(B, Loc, Columns).build(Role, Name);
}

} // namespace vcc::cpu
