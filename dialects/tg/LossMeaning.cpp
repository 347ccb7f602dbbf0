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

namespace {

// The weights of the row's class and of every class: numbers of the logits' type, as the split form has them.
struct Targets {
  double Own, Each;

  Targets(double Smoothing, const HostTensor &Logits)
      : Own(roundToElement(1.0 - Smoothing, Logits.ElementType)),
        Each(roundToElement(Smoothing / static_cast<double>(Logits.Shape[1]), Logits.ElementType)) {}
};

} // namespace

LogicalResult CrossEntropyOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                       MutableArrayRef<HostTensor> Out) {
  int64_t Rows = In[0]->Shape[0], Classes = In[0]->Shape[1];
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    Targets Weights(getSmoothing().convertToDouble(), *In[0]);
    T Own = static_cast<T>(Weights.Own), Each = static_cast<T>(Weights.Each);
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
        Out[0].Data[R] = Lse - Own * static_cast<T>(X[*Class]) - Each * Total;
    }
    return success();
  });
}

LogicalResult CrossEntropyGradOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                           MutableArrayRef<HostTensor> Out) {
  int64_t Rows = In[0]->Shape[0], Classes = In[0]->Shape[1];
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    Targets Weights(getSmoothing().convertToDouble(), *In[0]);
    T Own = static_cast<T>(Weights.Own), Each = static_cast<T>(Weights.Each);
    for (int64_t R = 0; R < Rows; ++R) {
      auto Class = classOf(In[1]->Data[R], static_cast<int64_t>(getIgnore()), Classes);
      if (!Class)
        continue;
      T Lse = static_cast<T>(In[2]->Data[R]), G = static_cast<T>(In[3]->Data[R]);
      for (int64_t C = 0; C < Classes; ++C) {
        T P = std::exp(static_cast<T>(In[0]->Data[R * Classes + C]) - Lse);
        T Target = (C == *Class ? Own : T(0)) + Each;
        Out[0].Data[R * Classes + C] = G * (P - Target);
      }
    }
    return success();
  });
}
