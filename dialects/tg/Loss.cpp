// SPDX-License-Identifier: Apache-2.0
//
// Loss family: inference and verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Loss.cpp.inc"

template <typename AdaptorT>
static FailureOr<RankedTensorType> checkRows(std::optional<Location> Loc, StringRef Name, AdaptorT Adaptor) {
  auto Logits = dyn_cast<RankedTensorType>(Adaptor.getLogits().getType());
  auto Labels = dyn_cast<RankedTensorType>(Adaptor.getLabels().getType());
  if (!Logits || Logits.getRank() != 2 || !Labels || Labels.getShape() != Logits.getShape().take_front(1))
    return emitOptionalError(Loc, "'", Name, "' op needs logits [N, V] and labels [N] but has ",
                             Adaptor.getLogits().getType(), " and ", Adaptor.getLabels().getType());
  double Smoothing = Adaptor.getSmoothing().convertToDouble();
  if (Smoothing < 0 || Smoothing > 1)
    return emitOptionalError(Loc, "'", Name, "' op smoothing ", Smoothing, " is not in [0, 1]");
  Type Element = Logits.getElementType();
  return RankedTensorType::get(Labels.getShape(), Element.isF64() ? Element : Float32Type::get(Logits.getContext()));
}

LogicalResult CrossEntropyOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                               SmallVectorImpl<Type> &Types) {
  FailureOr<RankedTensorType> Rows = checkRows(Loc, getOperationName(), Adaptor);
  if (failed(Rows))
    return failure();
  Types.append({*Rows, *Rows});
  return success();
}

LogicalResult CrossEntropyGradOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                                   SmallVectorImpl<Type> &Types) {
  FailureOr<RankedTensorType> Rows = checkRows(Loc, getOperationName(), Adaptor);
  if (failed(Rows))
    return failure();
  if (Adaptor.getLse().getType() != *Rows || Adaptor.getDloss().getType() != *Rows)
    return emitOptionalError(Loc, "'tg.cross_entropy_grad' op lse and dloss must be ", *Rows);
  Types.push_back(Adaptor.getLogits().getType());
  return success();
}
