// SPDX-License-Identifier: Apache-2.0
//
// Elementwise family: inference, verifiers, folds.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Elementwise.cpp.inc"

static bool isSplatOf(Attribute A, double Value) { return splatValue(A) == Value; }

OpFoldResult NegOp::fold(FoldAdaptor) {
  auto Inner = getX().getDefiningOp<NegOp>();
  return Inner ? OpFoldResult(Inner.getX()) : OpFoldResult();
}
OpFoldResult NotOp::fold(FoldAdaptor) {
  auto Inner = getX().getDefiningOp<NotOp>();
  return Inner ? OpFoldResult(Inner.getX()) : OpFoldResult();
}

OpFoldResult AddOp::fold(FoldAdaptor Adaptor) {
  if (isSplatOf(Adaptor.getRhs(), 0))
    return getLhs();
  return isSplatOf(Adaptor.getLhs(), 0) ? OpFoldResult(getRhs()) : OpFoldResult();
}
OpFoldResult SubOp::fold(FoldAdaptor Adaptor) {
  return isSplatOf(Adaptor.getRhs(), 0) ? OpFoldResult(getLhs()) : OpFoldResult();
}
OpFoldResult MulOp::fold(FoldAdaptor Adaptor) {
  if (isSplatOf(Adaptor.getRhs(), 1))
    return getLhs();
  return isSplatOf(Adaptor.getLhs(), 1) ? OpFoldResult(getRhs()) : OpFoldResult();
}
OpFoldResult DivOp::fold(FoldAdaptor Adaptor) {
  return isSplatOf(Adaptor.getRhs(), 1) ? OpFoldResult(getLhs()) : OpFoldResult();
}
OpFoldResult MaxOp::fold(FoldAdaptor) { return getLhs() == getRhs() ? OpFoldResult(getLhs()) : OpFoldResult(); }
OpFoldResult MinOp::fold(FoldAdaptor) { return getLhs() == getRhs() ? OpFoldResult(getLhs()) : OpFoldResult(); }
OpFoldResult PowOp::fold(FoldAdaptor Adaptor) {
  return isSplatOf(Adaptor.getRhs(), 1) ? OpFoldResult(getLhs()) : OpFoldResult();
}

// Powers that are cheaper said otherwise.
LogicalResult PowOp::canonicalize(PowOp Op, PatternRewriter &Rewriter) {
  std::optional<double> Exponent = splatValue(Op.getRhs());
  if (!Exponent)
    return failure();
  Value X = Op.getLhs();
  if (*Exponent == 2.0)
    Rewriter.replaceOpWithNewOp<MulOp>(Op, X, X);
  else if (*Exponent == 3.0)
    Rewriter.replaceOpWithNewOp<MulOp>(Op, Rewriter.create<MulOp>(Op.getLoc(), X, X), X);
  else if (*Exponent == 0.5)
    Rewriter.replaceOpWithNewOp<SqrtOp>(Op, X);
  else if (*Exponent == -0.5)
    Rewriter.replaceOpWithNewOp<RsqrtOp>(Op, X);
  else if (*Exponent == -1.0)
    Rewriter.replaceOpWithNewOp<DivOp>(Op, buildSplat(Rewriter, Op.getLoc(), Op.getType(), 1.0), X);
  else
    return failure();
  return success();
}

OpFoldResult AndOp::fold(FoldAdaptor Adaptor) {
  if (getLhs() == getRhs() || isSplatOf(Adaptor.getRhs(), 1) || isSplatOf(Adaptor.getLhs(), 0))
    return getLhs();
  if (isSplatOf(Adaptor.getLhs(), 1) || isSplatOf(Adaptor.getRhs(), 0))
    return getRhs();
  return {};
}
OpFoldResult OrOp::fold(FoldAdaptor Adaptor) {
  if (getLhs() == getRhs() || isSplatOf(Adaptor.getRhs(), 0) || isSplatOf(Adaptor.getLhs(), 1))
    return getLhs();
  if (isSplatOf(Adaptor.getLhs(), 0) || isSplatOf(Adaptor.getRhs(), 1))
    return getRhs();
  return {};
}

LogicalResult CompareOp::inferReturnTypes(MLIRContext *Context, std::optional<Location> Loc, Adaptor Adaptor,
                                          SmallVectorImpl<Type> &Types) {
  auto Operand = dyn_cast<RankedTensorType>(Adaptor.getLhs().getType());
  if (!Operand)
    return emitOptionalError(Loc, "'tg.compare' op operands must be tensors");
  Types.push_back(Operand.clone(IntegerType::get(Context, 1)));
  return success();
}

OpFoldResult SelectOp::fold(FoldAdaptor Adaptor) {
  if (getA() == getB())
    return getA();
  if (isSplatOf(Adaptor.getCondition(), 1))
    return getA();
  return isSplatOf(Adaptor.getCondition(), 0) ? OpFoldResult(getB()) : OpFoldResult();
}

bool vcc::tg::isWidening(Operation *Op) {
  auto Cast = dyn_cast_if_present<CastOp>(Op);
  if (!Cast)
    return false;
  Type From = getElementTypeOrSelf(Cast.getX()), To = getElementTypeOrSelf(Cast.getType());
  return (From.isBF16() || From.isF16()) && (To.isF32() || To.isF64());
}

OpFoldResult CastOp::fold(FoldAdaptor) {
  if (getX().getType() == getType())
    return getX();
  // There and back: every narrow number is one of the wider ones too.
  auto Wider = getX().getDefiningOp<CastOp>();
  return isWidening(Wider) && Wider.getX().getType() == getType() ? OpFoldResult(Wider.getX()) : OpFoldResult();
}

LogicalResult ConstantOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                           SmallVectorImpl<Type> &Types) {
  if (!Adaptor.getValueAttr())
    return emitOptionalError(Loc, "'tg.constant' op needs the attribute `value`");
  Types.push_back(Adaptor.getValueAttr().getType());
  return success();
}
OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValueAttr(); }
LogicalResult ConstantOp::verify() {
  if (!isa<DenseElementsAttr>(getValue()))
    return emitOpError("value must be `dense<...>`");
  return success();
}

LogicalResult BarrierOp::inferReturnTypes(MLIRContext *, std::optional<Location>, Adaptor Adaptor,
                                          SmallVectorImpl<Type> &Types) {
  llvm::append_range(Types, Adaptor.getInputs().getTypes());
  return success();
}
LogicalResult BarrierOp::verify() {
  if (getBorder() && getInputs().size() != 1)
    return emitOpError("is the border of a segment, which one value passes, but has ") << getInputs().size();
  if (getBorder() && getBorder()->getSegment() < 0)
    return emitOpError("segments are numbered from 0");
  return success();
}
