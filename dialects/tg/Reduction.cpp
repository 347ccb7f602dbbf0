// SPDX-License-Identifier: Apache-2.0
//
// Reduction family: inference, verifiers, folds.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Reduction.cpp.inc"

LogicalResult ReduceOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                         SmallVectorImpl<Type> &Types) {
  auto Operand = dyn_cast<RankedTensorType>(Adaptor.getX().getType());
  if (!Operand)
    return emitOptionalError(Loc, "'tg.reduce' op operand must be a tensor");
  ArrayRef<int64_t> Axes = Adaptor.getAxes();
  int64_t Previous = -1;
  for (int64_t Axis : Axes) {
    if (Axis <= Previous || Axis >= Operand.getRank())
      return emitOptionalError(Loc, "'tg.reduce' op axes [", Axes,
                               "] must increase and lie below the rank, but the operand has rank ", Operand.getRank());
    Previous = Axis;
  }
  SmallVector<int64_t> Shape;
  for (int64_t Axis : otherAxes(Operand.getRank(), Axes))
    Shape.push_back(Operand.getDimSize(Axis));
  Types.push_back(Operand.clone(Shape));
  return success();
}

OpFoldResult ReduceOp::fold(FoldAdaptor) { return getAxes().empty() ? OpFoldResult(getX()) : OpFoldResult(); }

// Along axes of size 1 a reduction only renames.
LogicalResult ReduceOp::canonicalize(ReduceOp Op, PatternRewriter &Rewriter) {
  auto Operand = tensorType(Op.getX());
  if (!llvm::all_of(Op.getAxes(), [&](int64_t Axis) { return Operand.getDimSize(Axis) == 1; }))
    return failure();
  Rewriter.replaceOpWithNewOp<ReshapeOp>(Op, Op.getType(), Op.getX());
  return success();
}

static LogicalResult verifySoftmax(Operation *Op, RankedTensorType Type) {
  if (Type.getRank() == 0)
    return Op->emitOpError("needs a last axis but the operand is a scalar");
  return success();
}
LogicalResult SoftmaxOp::verify() { return verifySoftmax(*this, getType()); }
LogicalResult LogSoftmaxOp::verify() { return verifySoftmax(*this, getType()); }
