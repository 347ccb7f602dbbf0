// SPDX-License-Identifier: Apache-2.0
//
// Loss family in the reference interpreter.
#include "dialects/tg/Build.h"
#include "dialects/tg/Walk.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace vcc::tg;

// The class of a row, or nothing when the row is ignored.
static std::optional<int64_t> classOf(double Label, int64_t Ignore, int64_t Classes) {
  auto Class = static_cast<int64_t>(Label);
  return Class == Ignore || Class < 0 || Class >= Classes ? std::nullopt : std::optional(Class);
}

LogicalResult CrossEntropyOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                       MutableArrayRef<HostTensor> Out) {
  int64_t Rows = In[0]->Shape[0], Classes = In[0]->Shape[1];
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    T Smoothing = static_cast<T>(getSmoothing().convertToDouble());
    for (int64_t R = 0; R < Rows; ++R) {
      const double *X = In[0]->Data.data() + R * Classes;
      T Largest = -std::numeric_limits<T>::infinity(), Sum = 0, Total = 0;
      for (int64_t C = 0; C < Classes; ++C) {
        Largest = std::max(Largest, static_cast<T>(X[C]));
        Total += static_cast<T>(X[C]);
      }
      for (int64_t C = 0; C < Classes; ++C)
        Sum += std::exp(static_cast<T>(X[C]) - Largest);
      T Lse = Largest + std::log(Sum);
      Out[1].Data[R] = Lse;
      if (auto Class = classOf(In[1]->Data[R], static_cast<int64_t>(getIgnore()), Classes))
        Out[0].Data[R] = Lse - (T(1) - Smoothing) * static_cast<T>(X[*Class]) - Smoothing * Total / T(Classes);
    }
    return success();
  });
}

LogicalResult CrossEntropyGradOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                           MutableArrayRef<HostTensor> Out) {
  int64_t Rows = In[0]->Shape[0], Classes = In[0]->Shape[1];
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    T Smoothing = static_cast<T>(getSmoothing().convertToDouble());
    for (int64_t R = 0; R < Rows; ++R) {
      auto Class = classOf(In[1]->Data[R], static_cast<int64_t>(getIgnore()), Classes);
      if (!Class)
        continue;
      T Lse = static_cast<T>(In[2]->Data[R]), G = static_cast<T>(In[3]->Data[R]);
      for (int64_t C = 0; C < Classes; ++C) {
        T P = std::exp(static_cast<T>(In[0]->Data[R * Classes + C]) - Lse);
        T Target = (C == *Class ? T(1) - Smoothing : T(0)) + Smoothing / T(Classes);
        Out[0].Data[R * Classes + C] = G * (P - Target);
      }
    }
    return success();
  });
}
