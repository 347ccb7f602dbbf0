// SPDX-License-Identifier: Apache-2.0
//
// Builders for what gradients and passes say often.
#include "dialects/tg/Build.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace vcc::tg;

DenseElementsAttr vcc::tg::splatAttribute(RankedTensorType Type, double Value) {
  HostTensor Scalar({}, Type.getElementType());
  Scalar.Data[0] = Value;
  return toAttribute(Scalar).resizeSplat(Type);
}

std::optional<double> vcc::tg::splatValue(Attribute Value) {
  auto Splat = dyn_cast_if_present<SplatElementsAttr>(Value);
  if (!Splat)
    return std::nullopt;
  return fromAttribute(Splat.resizeSplat(RankedTensorType::get({}, Splat.getElementType()))).Data[0];
}

std::optional<double> vcc::tg::splatValue(Value Value) {
  auto Constant = Value.getDefiningOp<ConstantOp>();
  return Constant ? splatValue(Constant.getValue()) : std::nullopt;
}

Value vcc::tg::buildSplat(OpBuilder &B, Location Loc, RankedTensorType Type, double Value) {
  return B.create<ConstantOp>(Loc, splatAttribute(Type, Value));
}

Value vcc::tg::buildSum(OpBuilder &B, Location Loc, Value X, ArrayRef<int64_t> Axes) {
  return Axes.empty() ? X : B.create<ReduceOp>(Loc, X, ReduceKind::Sum, Axes).getResult();
}

Value vcc::tg::buildPart(OpBuilder &B, Location Loc, Value X, int64_t Axis, int64_t Begin, int64_t Size) {
  RankedTensorType Type = tensorType(X);
  SmallVector<int64_t> Offsets(Type.getRank(), 0), Sizes(Type.getShape()), Strides(Type.getRank(), 1);
  Offsets[Axis] = Begin;
  Sizes[Axis] = Size;
  return B.create<SliceOp>(Loc, Type.clone(Sizes), X, Offsets, Sizes, Strides);
}

Value vcc::tg::buildConcat(OpBuilder &B, Location Loc, ArrayRef<Value> Parts, int64_t Axis) {
  SmallVector<int64_t> Shape(tensorType(Parts[0]).getShape());
  for (Value Part : Parts.drop_front())
    Shape[Axis] += tensorType(Part).getShape()[Axis];
  return B.create<ConcatOp>(Loc, tensorType(Parts[0]).clone(Shape), Parts, Axis);
}

SmallVector<int64_t> vcc::tg::otherAxes(int64_t Rank, ArrayRef<int64_t> Axes) {
  SmallVector<int64_t> Others;
  for (int64_t Axis = 0; Axis < Rank; ++Axis)
    if (!llvm::is_contained(Axes, Axis))
      Others.push_back(Axis);
  return Others;
}

Value vcc::tg::buildBroadcast(OpBuilder &B, Location Loc, Value X, RankedTensorType Type, ArrayRef<int64_t> NewAxes) {
  if (X.getType() == Type)
    return X;
  return B.create<BroadcastOp>(Loc, Type, X, otherAxes(Type.getRank(), NewAxes));
}
