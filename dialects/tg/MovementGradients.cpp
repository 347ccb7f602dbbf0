// SPDX-License-Identifier: Apache-2.0
//
// Movement family: vector-Jacobian products, which are movements back. They need types only, never values.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult BroadcastOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                    SmallVectorImpl<Value> &Out) {
  auto Operand = tensorType(getX());
  SmallVector<int64_t> Repeated = otherAxes(getType().getRank(), getAxes());
  for (auto [Place, Axis] : llvm::enumerate(getAxes()))
    if (Operand.getDimSize(Place) != getType().getDimSize(Axis))
      Repeated.push_back(Axis);
  llvm::sort(Repeated);
  Value Sum = buildSum(B, getLoc(), Cotangents[0], Repeated);
  Out[0] = Sum.getType() == Operand ? Sum : B.create<ReshapeOp>(getLoc(), Operand, Sum).getResult();
  return success();
}

LogicalResult ReshapeOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                  SmallVectorImpl<Value> &Out) {
  Out[0] = B.create<ReshapeOp>(getLoc(), getX().getType(), Cotangents[0]);
  return success();
}

LogicalResult TransposeOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                    SmallVectorImpl<Value> &Out) {
  SmallVector<int64_t> Inverse(getPermutation().size());
  for (auto [Place, Axis] : llvm::enumerate(getPermutation()))
    Inverse[Axis] = static_cast<int64_t>(Place);
  Out[0] = B.create<TransposeOp>(getLoc(), Cotangents[0], Inverse);
  return success();
}

// Puts stride - 1 zeros after each element along an axis: a new axis is padded and merged.
static Value spread(OpBuilder &B, Location Loc, Value X, int64_t Axis, int64_t Stride) {
  SmallVector<int64_t> Split(tensorType(X).getShape()), Merged = Split;
  Split.insert(Split.begin() + Axis + 1, 1);
  Merged[Axis] *= Stride;
  SmallVector<int64_t> Low(Split.size(), 0), High(Split.size(), 0);
  High[Axis + 1] = Stride - 1;
  Value Wide = B.create<ReshapeOp>(Loc, tensorType(X).clone(Split), X);
  Wide = B.create<PadOp>(Loc, Wide, Low, High, llvm::APFloat(0.0));
  return B.create<ReshapeOp>(Loc, tensorType(X).clone(Merged), Wide);
}

LogicalResult SliceOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                SmallVectorImpl<Value> &Out) {
  Location Loc = getLoc();
  auto Operand = tensorType(getX());
  Value G = Cotangents[0];
  for (auto [Axis, Stride] : llvm::enumerate(getStrides()))
    if (Stride > 1)
      G = spread(B, Loc, G, static_cast<int64_t>(Axis), Stride);
  // Spreading may have put zeros behind the last element that do not fit any more.
  SmallVector<int64_t> Sizes(tensorType(G).getShape()), Zeros(Sizes.size(), 0), Ones(Sizes.size(), 1), High;
  for (auto [Axis, Offset] : llvm::enumerate(getOffsets())) {
    Sizes[Axis] = std::min(Sizes[Axis], Operand.getDimSize(Axis) - Offset);
    High.push_back(Operand.getDimSize(Axis) - Offset - Sizes[Axis]);
  }
  if (ArrayRef<int64_t>(Sizes) != tensorType(G).getShape())
    G = B.create<SliceOp>(Loc, G, Zeros, Sizes, Ones);
  Out[0] = B.create<PadOp>(Loc, G, getOffsets(), High, llvm::APFloat(0.0));
  return success();
}

LogicalResult ConcatOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool> Needed,
                                 SmallVectorImpl<Value> &Out) {
  int64_t Axis = getAxis(), Rank = getType().getRank();
  SmallVector<int64_t> Offsets(Rank, 0), Ones(Rank, 1);
  for (auto [I, Input] : llvm::enumerate(getInputs())) {
    if (Needed[I])
      Out[I] = B.create<SliceOp>(getLoc(), Cotangents[0], Offsets, tensorType(Input).getShape(), Ones);
    Offsets[Axis] += tensorType(Input).getDimSize(Axis);
  }
  return success();
}

LogicalResult PadOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>, SmallVectorImpl<Value> &Out) {
  SmallVector<int64_t> Ones(getType().getRank(), 1);
  Out[0] = B.create<SliceOp>(getLoc(), Cotangents[0], getLow(), tensorType(getX()).getShape(), Ones);
  return success();
}

// Gathering and scattering sums are each other's transposes over the joined ranks.
LogicalResult AllGatherOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                    SmallVectorImpl<Value> &Out) {
  Out[0] = B.create<ReduceScatterOp>(getLoc(), Cotangents[0], getRanks());
  return success();
}

LogicalResult ReduceScatterOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool>,
                                        SmallVectorImpl<Value> &Out) {
  Out[0] = B.create<AllGatherOp>(getLoc(), Cotangents[0], getRanks());
  return success();
}
