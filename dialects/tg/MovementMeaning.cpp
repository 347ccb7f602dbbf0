// SPDX-License-Identifier: Apache-2.0
//
// Movement family in the reference interpreter.
#include "dialects/tg/Build.h"
#include "dialects/tg/Walk.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult BroadcastOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In,
                                    MutableArrayRef<HostTensor> Out) {
  const HostTensor &X = *In[0];
  HostTensor &Y = Out[0];
  // In a kernel body run over all rows both have a row axis before the operation's own axes.
  int64_t Lifted = Y.rank() - getType().getRank();
  SmallVector<int64_t> From = rowMajorStrides(X.Shape), Steps(Y.rank(), 0);
  for (int64_t Axis = 0; Axis < X.rank(); ++Axis)
    if (X.Shape[Axis] != 1)
      Steps[Axis < Lifted ? Axis : getAxes()[Axis - Lifted] + Lifted] = From[Axis];
  int64_t To = 0;
  walkShape<1>(Y.Shape, {Steps}, {0}, [&](const std::array<int64_t, 1> &O) { Y.Data[To++] = X.Data[O[0]]; });
  return success();
}

LogicalResult ReshapeOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  Out[0].Data = In[0]->Data;
  return success();
}

LogicalResult TransposeOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In,
                                    MutableArrayRef<HostTensor> Out) {
  SmallVector<int64_t> From = rowMajorStrides(In[0]->Shape), Steps;
  for (int64_t Axis : getPermutation())
    Steps.push_back(From[Axis]);
  int64_t To = 0;
  walkShape<1>(Out[0].Shape, {Steps}, {0},
          [&](const std::array<int64_t, 1> &O) { Out[0].Data[To++] = In[0]->Data[O[0]]; });
  return success();
}

LogicalResult SliceOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  SmallVector<int64_t> From = rowMajorStrides(In[0]->Shape), Steps;
  int64_t Start = 0;
  for (auto [Axis, Stride] : llvm::enumerate(From)) {
    Start += Stride * getOffsets()[Axis];
    Steps.push_back(Stride * getStrides()[Axis]);
  }
  int64_t To = 0;
  walkShape<1>(Out[0].Shape, {Steps}, {Start},
          [&](const std::array<int64_t, 1> &O) { Out[0].Data[To++] = In[0]->Data[O[0]]; });
  return success();
}

// Copies X into Y from the element `Start` on, axis by axis.
static void place(const HostTensor &X, HostTensor &Y, int64_t Start) {
  int64_t From = 0;
  walkShape<1>(X.Shape, {rowMajorStrides(Y.Shape)}, {Start},
          [&](const std::array<int64_t, 1> &O) { Y.Data[O[0]] = X.Data[From++]; });
}

LogicalResult ConcatOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  int64_t Axis = getAxis(), Start = 0, Stride = rowMajorStrides(Out[0].Shape)[Axis];
  for (const HostTensor *X : In) {
    place(*X, Out[0], Start);
    Start += X->Shape[Axis] * Stride;
  }
  return success();
}

LogicalResult PadOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  std::fill(Out[0].Data.begin(), Out[0].Data.end(), getValue().convertToDouble());
  int64_t Start = 0;
  for (auto [Stride, Low] : llvm::zip_equal(rowMajorStrides(Out[0].Shape), getLow()))
    Start += Stride * Low;
  place(*In[0], Out[0], Start);
  return success();
}

// The operand as every rank has it, in order of rank.
static FailureOr<SmallVector<const HostTensor *>> everyRank(Operation *Op, int64_t Ranks, MeaningContext &Context,
                                                            const HostTensor &Mine) {
  SmallVector<const HostTensor *> Found;
  for (const HostTensor &Peer : Context.peers())
    Found.push_back(&Peer);
  if (Found.empty())
    Found.push_back(&Mine);
  if (static_cast<int64_t>(Found.size()) == Ranks)
    return Found;
  Op->emitOpError("joins ") << Ranks << " ranks but " << Found.size() << (Found.size() == 1 ? " runs" : " run");
  return failure();
}

LogicalResult AllGatherOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                    MutableArrayRef<HostTensor> Out) {
  auto Ranks = everyRank(*this, getRanks(), Context, *In[0]);
  if (failed(Ranks))
    return failure();
  auto To = Out[0].Data.begin();
  for (const HostTensor *Rank : *Ranks)
    To = llvm::copy(Rank->Data, To);
  return success();
}

LogicalResult ReduceScatterOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                        MutableArrayRef<HostTensor> Out) {
  auto Ranks = everyRank(*this, getRanks(), Context, *In[0]);
  if (failed(Ranks))
    return failure();
  int64_t Start = Context.rank() * Out[0].size();
  return withNumber(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    for (int64_t I = 0; I < Out[0].size(); ++I) {
      T Sum = static_cast<T>(Ranks->front()->Data[Start + I]);
      for (const HostTensor *Rank : ArrayRef(*Ranks).drop_front())
        Sum += static_cast<T>(Rank->Data[Start + I]);
      Out[0].Data[I] = static_cast<double>(Sum);
    }
    return success();
  });
}
