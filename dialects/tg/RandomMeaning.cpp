// SPDX-License-Identifier: Apache-2.0
//
// Random family in the reference interpreter.
#include "dialects/tg/Build.h"
#include "dialects/tg/Philox.h"
#include "dialects/tg/Walk.h"

#include <cmath>

using namespace mlir;
using namespace vcc::tg;

// Box-Muller; 1 - u is never 0.
template <typename T> static T normalOf(const uint32_t (&Words)[4]) {
  T Radius = std::sqrt(T(-2) * std::log(T(1) - T(uniformOf(Words[0]))));
  return Radius * std::cos(T(2 * M_PI) * T(uniformOf(Words[1])));
}

// Calls Store(element, words) for each element of a sample-major tensor.
template <typename StoreT> static void drawAll(const Draw &Source, HostTensor &Out, StoreT Store) {
  int64_t Samples = Out.Shape[0], Width = Samples == 0 ? 0 : Out.size() / Samples;
  uint32_t Words[4];
  for (int64_t Sample = 0; Sample < Samples; ++Sample)
    for (int64_t Inner = 0; Inner < Width; ++Inner) {
      Source.words(static_cast<uint32_t>(Inner), static_cast<uint32_t>(Sample), Words);
      Out.Data[Sample * Width + Inner] = Store(Words);
    }
}

LogicalResult RandomUniformOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In,
                                        MutableArrayRef<HostTensor> Out) {
  drawAll(Draw(*In[0], getSite().hash()), Out[0], [](const uint32_t (&Words)[4]) { return uniformOf(Words[0]); });
  return success();
}

LogicalResult RandomNormalOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                       MutableArrayRef<HostTensor> Out) {
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    drawAll(Draw(*In[0], getSite().hash()), Out[0],
            [](const uint32_t (&Words)[4]) { return static_cast<double>(normalOf<T>(Words)); });
    return success();
  });
}

// Operands in order: key low, key high, inner, sample, step, site.
static void drawWords(ArrayRef<const HostTensor *> In, int64_t Element, uint32_t (&Words)[4]) {
  auto Word = [&](unsigned Operand) { return wordOf(In[Operand]->Data[Element]); };
  uint32_t Key[2] = {Word(0), Word(1)}, Counter[4] = {Word(2), Word(3), Word(4), Word(5)};
  philox(Counter, Key, Words);
}

LogicalResult DrawUniformOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In,
                                      MutableArrayRef<HostTensor> Out) {
  uint32_t Words[4];
  for (int64_t I = 0; I < Out[0].size(); ++I) {
    drawWords(In, I, Words);
    Out[0].Data[I] = uniformOf(Words[0]);
  }
  return success();
}

LogicalResult DrawNormalOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                     MutableArrayRef<HostTensor> Out) {
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    uint32_t Words[4];
    for (int64_t I = 0; I < Out[0].size(); ++I) {
      drawWords(In, I, Words);
      Out[0].Data[I] = static_cast<double>(normalOf<T>(Words));
    }
    return success();
  });
}
