// SPDX-License-Identifier: Apache-2.0
//
// Attention family: inference and verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Attention.cpp.inc"

// lse is kept in f32, or in f64 when everything is.
static RankedTensorType lseType(RankedTensorType Q) {
  Type Element = Q.getElementType().isF64() ? Q.getElementType() : Float32Type::get(Q.getContext());
  return RankedTensorType::get({Q.getDimSize(0), Q.getDimSize(2), Q.getDimSize(1)}, Element);
}

template <typename AdaptorT>
static LogicalResult checkOperands(std::optional<Location> Loc, StringRef Name, AdaptorT Adaptor) {
  auto Q = dyn_cast<RankedTensorType>(Adaptor.getQ().getType()), K = dyn_cast<RankedTensorType>(Adaptor.getK().getType());
  if (!Q || !K || Q.getRank() != 4 || K.getRank() != 4)
    return emitOptionalError(Loc, "'", Name, "' op q must be [B, Sq, H, D] and k [B, Sk, G, D]");
  if (Adaptor.getV().getType() != K)
    return emitOptionalError(Loc, "'", Name, "' op v is ", Adaptor.getV().getType(), " but k is ", K);
  if (Q.getElementType() != K.getElementType() || Q.getDimSize(0) != K.getDimSize(0) ||
      Q.getDimSize(3) != K.getDimSize(3))
    return emitOptionalError(Loc, "'", Name, "' op q ", Q, " and k ", K, " differ in batch, head size or element type");
  if (K.getDimSize(2) == 0 || Q.getDimSize(2) % K.getDimSize(2) != 0)
    return emitOptionalError(Loc, "'", Name, "' op ", Q.getDimSize(2), " query heads are no multiple of ",
                             K.getDimSize(2), " key heads");
  if (Value Lengths = Adaptor.getLengths())
    if (tensorType(Lengths).getShape() != Q.getShape().take_front(1))
      return emitOptionalError(Loc, "'", Name, "' op lengths is ", Lengths.getType(), " but the batch is ",
                               Q.getDimSize(0));
  if (Value Starts = Adaptor.getStarts())
    if (tensorType(Starts).getShape() != Q.getShape().take_front(2))
      return emitOptionalError(Loc, "'", Name, "' op starts is ", Starts.getType(), " but the queries are ", Q.getDimSize(0),
                               " x ", Q.getDimSize(1));
  double Rate = Adaptor.getDropout().convertToDouble();
  if (Rate < 0 || Rate >= 1)
    return emitOptionalError(Loc, "'", Name, "' op dropout ", Rate, " is not in [0, 1)");
  if (Rate > 0 && (!Adaptor.getRng() || !Adaptor.getSite()))
    return emitOptionalError(Loc, "'", Name, "' op has dropout but no rng and site to draw from");
  if (Adaptor.getRng() && tensorType(Adaptor.getRng()).getShape() != ArrayRef<int64_t>{4})
    return emitOptionalError(Loc, "'", Name, "' op rng must be tensor<4xi32>");
  return success();
}

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                            SmallVectorImpl<Type> &Types) {
  if (failed(checkOperands(Loc, getOperationName(), Adaptor)))
    return failure();
  auto Q = cast<RankedTensorType>(Adaptor.getQ().getType());
  if (std::optional<ArrayRef<int64_t>> Samples = Adaptor.getSamples()) {
    if (Samples->size() != 2 || (*Samples)[0] < 1 || (*Samples)[1] < 1)
      return emitOptionalError(Loc, "'tg.attention' op samples must be how many there are at most, and the longest one");
    if (!Adaptor.getCausal() || !Adaptor.getLengths() || !Adaptor.getStarts() || Q.getDimSize(1) != tensorType(Adaptor.getK()).getDimSize(1))
      return emitOptionalError(Loc, "'tg.attention' op has samples, but not causal rows of as many queries as keys with lengths and starts");
  }
  Types.append({Q, lseType(Q)});
  return success();
}

LogicalResult AttentionGradOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                                SmallVectorImpl<Type> &Types) {
  if (failed(checkOperands(Loc, getOperationName(), Adaptor)))
    return failure();
  auto Q = cast<RankedTensorType>(Adaptor.getQ().getType());
  if (Adaptor.getOut().getType() != Q || Adaptor.getDout().getType() != Q || Adaptor.getLse().getType() != lseType(Q))
    return emitOptionalError(Loc, "'tg.attention_grad' op out and dout must be ", Q, " and lse ", lseType(Q));
  Types.append({Q, Adaptor.getK().getType(), Adaptor.getV().getType()});
  return success();
}
