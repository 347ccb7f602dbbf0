// SPDX-License-Identifier: Apache-2.0
//
// Movement family: inference, verifiers, folds.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Movement.cpp.inc"

// A splat stays a splat, of whatever size.
static OpFoldResult foldSplat(Attribute Operand, RankedTensorType Type) {
  auto Splat = dyn_cast_if_present<SplatElementsAttr>(Operand);
  return Splat ? OpFoldResult(Splat.resizeSplat(Type)) : OpFoldResult();
}

static bool isIdentity(ArrayRef<int64_t> Axes) {
  for (auto [Place, Axis] : llvm::enumerate(Axes))
    if (Axis != static_cast<int64_t>(Place))
      return false;
  return true;
}

//===- broadcast -===//

LogicalResult BroadcastOp::verify() {
  auto Operand = tensorType(getX()), Result = getType();
  if (Operand.getElementType() != Result.getElementType())
    return emitOpError("keeps the element type, but operand has ")
           << Operand.getElementType() << " and result " << Result.getElementType();
  if (static_cast<int64_t>(getAxes().size()) != Operand.getRank())
    return emitOpError("axes [") << getAxes() << "] must name one result axis for each of the operand's "
                                 << Operand.getRank();
  int64_t Previous = -1;
  for (auto [Place, Axis] : llvm::enumerate(getAxes())) {
    if (Axis <= Previous || Axis >= Result.getRank())
      return emitOpError("axes [") << getAxes() << "] must increase and lie below the result's rank "
                                   << Result.getRank();
    int64_t From = Operand.getDimSize(Place), To = Result.getDimSize(Axis);
    if (From != To && From != 1)
      return emitOpError("operand axis ") << Place << " has size " << From << " but result axis " << Axis << " has "
                                          << To;
    Previous = Axis;
  }
  return success();
}

OpFoldResult BroadcastOp::fold(FoldAdaptor Adaptor) {
  if (getX().getType() == getType())
    return getX();
  if (OpFoldResult Splat = foldSplat(Adaptor.getX(), getType()))
    return Splat;
  auto Inner = getX().getDefiningOp<BroadcastOp>();
  if (!Inner)
    return {};
  SmallVector<int64_t> Axes;
  for (int64_t Axis : Inner.getAxes())
    Axes.push_back(getAxes()[Axis]);
  setOperand(Inner.getX());
  setAxes(Axes);
  return getResult();
}

// Stretching an axis of size 1 = dropping it, then repeating along a new axis.
LogicalResult BroadcastOp::canonicalize(BroadcastOp Op, PatternRewriter &Rewriter) {
  auto Operand = tensorType(Op.getX()), Result = Op.getType();
  SmallVector<int64_t> Shape, Axes;
  for (auto [Place, Axis] : llvm::enumerate(Op.getAxes())) {
    if (Operand.getDimSize(Place) != Result.getDimSize(Axis))
      continue;
    Shape.push_back(Operand.getDimSize(Place));
    Axes.push_back(Axis);
  }
  if (static_cast<int64_t>(Shape.size()) == Operand.getRank()) {
    // New axes of size 1 only: a reshape.
    if (Operand.getNumElements() != Result.getNumElements())
      return failure();
    Rewriter.replaceOpWithNewOp<ReshapeOp>(Op, Result, Op.getX());
    return success();
  }
  Value Dropped = Rewriter.create<ReshapeOp>(Op.getLoc(), Operand.clone(Shape), Op.getX());
  Rewriter.replaceOpWithNewOp<BroadcastOp>(Op, Result, Dropped, Axes);
  return success();
}

//===- reshape -===//

LogicalResult ReshapeOp::verify() {
  auto Operand = tensorType(getX());
  if (Operand.getElementType() != getType().getElementType())
    return emitOpError("keeps the element type, but operand has ")
           << Operand.getElementType() << " and result " << getType().getElementType();
  if (Operand.getNumElements() != getType().getNumElements())
    return emitOpError("operand has ") << Operand.getNumElements() << " elements but result has "
                                       << getType().getNumElements();
  return success();
}

OpFoldResult ReshapeOp::fold(FoldAdaptor Adaptor) {
  if (getX().getType() == getType())
    return getX();
  if (auto Dense = dyn_cast_if_present<DenseElementsAttr>(Adaptor.getX()))
    return Dense.reshape(getType());
  return {};
}

LogicalResult ReshapeOp::canonicalize(ReshapeOp Op, PatternRewriter &Rewriter) {
  auto Inner = Op.getX().getDefiningOp<ReshapeOp>();
  if (!Inner)
    return failure();
  Rewriter.replaceOpWithNewOp<ReshapeOp>(Op, Op.getType(), Inner.getX());
  return success();
}

//===- transpose -===//

LogicalResult TransposeOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                            SmallVectorImpl<Type> &Types) {
  auto Operand = dyn_cast<RankedTensorType>(Adaptor.getX().getType());
  if (!Operand)
    return emitOptionalError(Loc, "'tg.transpose' op operand must be a tensor");
  ArrayRef<int64_t> Permutation = Adaptor.getPermutation();
  SmallVector<int64_t> Sorted(Permutation), Shape;
  llvm::sort(Sorted);
  if (static_cast<int64_t>(Sorted.size()) != Operand.getRank() || !isIdentity(Sorted))
    return emitOptionalError(Loc, "'tg.transpose' op [", Permutation, "] is not a permutation of the operand's ",
                             Operand.getRank(), " axes");
  for (int64_t Axis : Permutation)
    Shape.push_back(Operand.getDimSize(Axis));
  Types.push_back(Operand.clone(Shape));
  return success();
}

OpFoldResult TransposeOp::fold(FoldAdaptor Adaptor) {
  return isIdentity(getPermutation()) ? OpFoldResult(getX()) : foldSplat(Adaptor.getX(), getType());
}

LogicalResult TransposeOp::canonicalize(TransposeOp Op, PatternRewriter &Rewriter) {
  if (auto Inner = Op.getX().getDefiningOp<TransposeOp>()) {
    SmallVector<int64_t> Permutation;
    for (int64_t Axis : Op.getPermutation())
      Permutation.push_back(Inner.getPermutation()[Axis]);
    Rewriter.replaceOpWithNewOp<TransposeOp>(Op, Inner.getX(), Permutation);
    return success();
  }
  // Moving axes of size 1 about moves nothing.
  SmallVector<int64_t> Large;
  for (int64_t Axis : Op.getPermutation())
    if (tensorType(Op.getX()).getDimSize(Axis) != 1)
      Large.push_back(Axis);
  if (!llvm::is_sorted(Large))
    return failure();
  Rewriter.replaceOpWithNewOp<ReshapeOp>(Op, Op.getType(), Op.getX());
  return success();
}

//===- slice -===//

LogicalResult SliceOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                        SmallVectorImpl<Type> &Types) {
  auto Operand = dyn_cast<RankedTensorType>(Adaptor.getX().getType());
  if (!Operand)
    return emitOptionalError(Loc, "'tg.slice' op operand must be a tensor");
  ArrayRef<int64_t> Offsets = Adaptor.getOffsets(), Sizes = Adaptor.getSizes(), Strides = Adaptor.getStrides();
  auto Rank = static_cast<size_t>(Operand.getRank());
  if (Offsets.size() != Rank || Sizes.size() != Rank || Strides.size() != Rank)
    return emitOptionalError(Loc, "'tg.slice' op needs an offset, a size and a stride for each of the operand's ", Rank,
                             " axes");
  for (size_t Axis = 0; Axis < Rank; ++Axis) {
    int64_t Size = Operand.getDimSize(Axis);
    bool Inside = Offsets[Axis] >= 0 && Sizes[Axis] >= 1 && Strides[Axis] >= 1 && Offsets[Axis] < Size &&
                  Sizes[Axis] - 1 <= (Size - 1 - Offsets[Axis]) / Strides[Axis];
    if (!Inside)
      return emitOptionalError(Loc, "'tg.slice' op takes ", Sizes[Axis], " elements from ", Offsets[Axis],
                               " in steps of ", Strides[Axis], " along axis ", Axis, ", which has size ", Size);
  }
  Types.push_back(Operand.clone(Sizes));
  return success();
}

OpFoldResult SliceOp::fold(FoldAdaptor Adaptor) {
  return getX().getType() == getType() ? OpFoldResult(getX()) : foldSplat(Adaptor.getX(), getType());
}

LogicalResult SliceOp::canonicalize(SliceOp Op, PatternRewriter &Rewriter) {
  auto Inner = Op.getX().getDefiningOp<SliceOp>();
  if (!Inner)
    return failure();
  SmallVector<int64_t> Offsets, Strides;
  for (int64_t Axis = 0, Rank = Op.getType().getRank(); Axis < Rank; ++Axis) {
    Offsets.push_back(Inner.getOffsets()[Axis] + Op.getOffsets()[Axis] * Inner.getStrides()[Axis]);
    Strides.push_back(Inner.getStrides()[Axis] * Op.getStrides()[Axis]);
  }
  Rewriter.replaceOpWithNewOp<SliceOp>(Op, Inner.getX(), Offsets, Op.getSizes(), Strides);
  return success();
}

//===- concat -===//

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                         SmallVectorImpl<Type> &Types) {
  if (Adaptor.getInputs().empty())
    return emitOptionalError(Loc, "'tg.concat' op needs at least one operand");
  auto First = dyn_cast<RankedTensorType>(Adaptor.getInputs()[0].getType());
  auto Axis = static_cast<int64_t>(Adaptor.getAxis());
  if (!First || Axis < 0 || Axis >= First.getRank())
    return emitOptionalError(Loc, "'tg.concat' op axis ", Axis, " is not an axis of the operands");
  SmallVector<int64_t> Shape(First.getShape());
  Shape[Axis] = 0;
  for (Type T : Adaptor.getInputs().getTypes()) {
    auto Operand = dyn_cast<RankedTensorType>(T);
    bool Fits = Operand && Operand.getElementType() == First.getElementType() && Operand.getRank() == First.getRank();
    for (int64_t A = 0; Fits && A < First.getRank(); ++A)
      Fits = A == Axis || Operand.getDimSize(A) == First.getDimSize(A);
    if (!Fits)
      return emitOptionalError(Loc, "'tg.concat' op operands may differ along axis ", Axis, " only, but there are ",
                               First, " and ", T);
    Shape[Axis] += Operand.getDimSize(Axis);
  }
  Types.push_back(First.clone(Shape));
  return success();
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  return getInputs().size() == 1 ? OpFoldResult(getInputs()[0]) : OpFoldResult();
}

//===- pad -===//

LogicalResult PadOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                      SmallVectorImpl<Type> &Types) {
  auto Operand = dyn_cast<RankedTensorType>(Adaptor.getX().getType());
  if (!Operand)
    return emitOptionalError(Loc, "'tg.pad' op operand must be a tensor");
  ArrayRef<int64_t> Low = Adaptor.getLow(), High = Adaptor.getHigh();
  auto Rank = static_cast<size_t>(Operand.getRank());
  if (Low.size() != Rank || High.size() != Rank)
    return emitOptionalError(Loc, "'tg.pad' op needs `low` and `high` for each of the operand's ", Rank, " axes");
  SmallVector<int64_t> Shape(Operand.getShape());
  for (size_t Axis = 0; Axis < Rank; ++Axis) {
    if (Low[Axis] < 0 || High[Axis] < 0)
      return emitOptionalError(Loc, "'tg.pad' op pads axis ", Axis, " by ", Low[Axis], " and ", High[Axis],
                               ", but a pad adds elements");
    Shape[Axis] += Low[Axis] + High[Axis];
  }
  Types.push_back(Operand.clone(Shape));
  return success();
}

OpFoldResult PadOp::fold(FoldAdaptor) { return getX().getType() == getType() ? OpFoldResult(getX()) : OpFoldResult(); }

//===- all_gather, reduce_scatter -===//

static LogicalResult checkRanks(std::optional<Location> Loc, StringRef Name, RankedTensorType X, int64_t Ranks) {
  if (Ranks < 1)
    return emitOptionalError(Loc, "'tg.", Name, "' op needs at least one rank but has ", Ranks);
  if (X.getRank() == 0)
    return emitOptionalError(Loc, "'tg.", Name, "' op of a scalar: ranks are joined along axis 0");
  return success();
}

LogicalResult AllGatherOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                            SmallVectorImpl<Type> &Types) {
  auto X = cast<RankedTensorType>(Adaptor.getX().getType());
  auto Ranks = static_cast<int64_t>(Adaptor.getRanks());
  if (failed(checkRanks(Loc, "all_gather", X, Ranks)))
    return failure();
  SmallVector<int64_t> Shape(X.getShape());
  Shape[0] *= Ranks;
  Types.push_back(X.clone(Shape));
  return success();
}

OpFoldResult AllGatherOp::fold(FoldAdaptor) { return getRanks() == 1 ? getX() : OpFoldResult(); }

LogicalResult ReduceScatterOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                                SmallVectorImpl<Type> &Types) {
  auto X = cast<RankedTensorType>(Adaptor.getX().getType());
  auto Ranks = static_cast<int64_t>(Adaptor.getRanks());
  if (failed(checkRanks(Loc, "reduce_scatter", X, Ranks)))
    return failure();
  SmallVector<int64_t> Shape(X.getShape());
  if (Shape[0] % Ranks)
    return emitOptionalError(Loc, "'tg.reduce_scatter' op axis 0 of ", X, " does not divide into ", Ranks, " ranks");
  Shape[0] /= Ranks;
  Types.push_back(X.clone(Shape));
  return success();
}

OpFoldResult ReduceScatterOp::fold(FoldAdaptor) { return getRanks() == 1 ? getX() : OpFoldResult(); }
