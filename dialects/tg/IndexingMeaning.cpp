// SPDX-License-Identifier: Apache-2.0
//
// Indexing family in the reference interpreter.
#include "dialects/tg/Build.h"
#include "dialects/tg/Walk.h"

using namespace mlir;
using namespace vcc::tg;

// An index outside the table stands for row 0.
static int64_t rowOf(double Id, int64_t Rows) { return Id >= 0 && Id < Rows ? static_cast<int64_t>(Id) : 0; }

LogicalResult IotaOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *>, MutableArrayRef<HostTensor> Out) {
  SmallVector<int64_t> Steps(Out[0].rank(), 0);
  Steps[getAxis()] = 1;
  int64_t To = 0;
  walkShape<1>(Out[0].Shape, {Steps}, {0},
          [&](const std::array<int64_t, 1> &O) { Out[0].Data[To++] = static_cast<double>(O[0]); });
  return success();
}

LogicalResult GatherOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  const HostTensor &Table = *In[0], &Ids = *In[1];
  int64_t Rows = Table.Shape[0], Width = Table.size() / Rows;
  for (int64_t I = 0; I < Ids.size(); ++I)
    std::copy_n(Table.Data.begin() + rowOf(Ids.Data[I], Rows) * Width, Width, Out[0].Data.begin() + I * Width);
  return success();
}

LogicalResult ScatterAddOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                     MutableArrayRef<HostTensor> Out) {
  const HostTensor &Ids = *In[0], &Updates = *In[1];
  int64_t Rows = Out[0].Shape[0], Width = Out[0].size() / Rows;
  return withNumber(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    for (int64_t I = 0; I < Ids.size(); ++I) {
      double *Row = Out[0].Data.data() + rowOf(Ids.Data[I], Rows) * Width;
      for (int64_t C = 0; C < Width; ++C)
        Row[C] = static_cast<double>(static_cast<T>(Row[C]) + static_cast<T>(Updates.Data[I * Width + C]));
    }
    return success();
  });
}
