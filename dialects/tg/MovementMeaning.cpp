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
