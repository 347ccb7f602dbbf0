// SPDX-License-Identifier: Apache-2.0
//
// Reduction family in the reference interpreter.
#include "dialects/tg/Build.h"
#include "dialects/tg/Walk.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace vcc::tg;

template <typename T> static T startOf(ReduceKind Kind) {
  if (Kind == ReduceKind::Sum)
    return T(0);
  T Extreme = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  return Kind == ReduceKind::Max ? -Extreme : Extreme;
}

template <typename T> static T combine(ReduceKind Kind, T A, T B) {
  switch (Kind) {
  case ReduceKind::Sum:
    return A + B;
  case ReduceKind::Max:
    return B > A || B != B ? B : A;
  case ReduceKind::Min:
    return B < A || B != B ? B : A;
  }
  llvm_unreachable("all kinds are handled");
}

LogicalResult ReduceOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                 MutableArrayRef<HostTensor> Out) {
  const HostTensor &X = *In[0];
  HostTensor &Y = Out[0];
  // In a kernel body run over all rows the operand has a row axis before the operation's own axes.
  int64_t Lifted = X.rank() - tensorType(getX()).getRank();
  SmallVector<int64_t> Steps(X.rank(), 0), Kept = rowMajorStrides(Y.Shape);
  int64_t Next = 0;
  for (int64_t Axis = 0; Axis < X.rank(); ++Axis)
    if (!llvm::is_contained(getAxes(), Axis - Lifted))
      Steps[Axis] = Kept[Next++];
  ReduceKind Kind = getKind();
  return withNumber(Context, Y.ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    std::vector<T> Sums(Y.Data.size(), startOf<T>(Kind));
    int64_t From = 0;
    walkShape<1>(X.Shape, {Steps}, {0}, [&](const std::array<int64_t, 1> &To) {
      Sums[To[0]] = combine<T>(Kind, Sums[To[0]], static_cast<T>(X.Data[From++]));
    });
    llvm::copy(Sums, Y.Data.begin());
    return success();
  });
}

// Calls Row(x, y, columns) for each row of the last axis.
template <typename T, typename RowT> static LogicalResult byRows(const HostTensor &X, HostTensor &Y, RowT Row) {
  int64_t Columns = X.Shape.back(), Rows = Columns == 0 ? 0 : X.size() / Columns;
  std::vector<T> Values(Columns);
  for (int64_t R = 0; R < Rows; ++R) {
    T Largest = -std::numeric_limits<T>::infinity();
    for (int64_t C = 0; C < Columns; ++C) {
      Values[C] = static_cast<T>(X.Data[R * Columns + C]);
      Largest = std::max(Largest, Values[C]);
    }
    T Sum = 0;
    for (T V : Values)
      Sum += std::exp(V - Largest);
    for (int64_t C = 0; C < Columns; ++C)
      Y.Data[R * Columns + C] = Row(Values[C], Largest, Sum);
  }
  return success();
}

LogicalResult SoftmaxOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                  MutableArrayRef<HostTensor> Out) {
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    return byRows<T>(*In[0], Out[0], [](T X, T Largest, T Sum) { return std::exp(X - Largest) / Sum; });
  });
}

LogicalResult LogSoftmaxOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                     MutableArrayRef<HostTensor> Out) {
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    return byRows<T>(*In[0], Out[0], [](T X, T Largest, T Sum) { return X - Largest - std::log(Sum); });
  });
}
