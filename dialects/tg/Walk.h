// SPDX-License-Identifier: Apache-2.0
//
// Walks a shape in row-major order with one running offset per stride set, and picks the number type an operation is
// computed in. Shared by the meanings; nothing is allocated per element.
#ifndef VCC_DIALECTS_TG_WALK_H
#define VCC_DIALECTS_TG_WALK_H

#include "dialects/tg/Meaning.h"

#include <array>

namespace vcc::tg {

/// Calls `Visit(offsets)` once per element of `Shape`, last axis fastest; offset s starts at Starts[s] and moves by
/// Strides[s][axis].
template <size_t N, typename VisitT>
void walkShape(llvm::ArrayRef<int64_t> Shape, const std::array<llvm::SmallVector<int64_t>, N> &Strides,
          std::array<int64_t, N> Offsets, VisitT Visit) {
  if (elementCount(Shape) == 0)
    return;
  auto Rank = static_cast<int64_t>(Shape.size());
  if (Rank == 0)
    return Visit(Offsets);
  llvm::SmallVector<int64_t> Index(Rank, 0);
  while (true) {
    std::array<int64_t, N> Inner = Offsets;
    for (int64_t I = 0; I < Shape[Rank - 1]; ++I) {
      Visit(Inner);
      for (size_t S = 0; S < N; ++S)
        Inner[S] += Strides[S][Rank - 1];
    }
    int64_t Axis = Rank - 2;
    for (; Axis >= 0; --Axis) {
      for (size_t S = 0; S < N; ++S)
        Offsets[S] += Strides[S][Axis];
      if (++Index[Axis] < Shape[Axis])
        break;
      for (size_t S = 0; S < N; ++S)
        Offsets[S] -= Strides[S][Axis] * Shape[Axis];
      Index[Axis] = 0;
    }
    if (Axis < 0)
      return;
  }
}

/// The offsets of all elements of `Shape` under `Strides`, in row-major order.
inline std::vector<int64_t> offsetsOf(llvm::ArrayRef<int64_t> Shape, llvm::ArrayRef<int64_t> Strides) {
  std::vector<int64_t> Offsets;
  Offsets.reserve(elementCount(Shape));
  walkShape<1>(Shape, {llvm::SmallVector<int64_t>(Strides)}, {0},
          [&](const std::array<int64_t, 1> &O) { Offsets.push_back(O[0]); });
  return Offsets;
}

/// Calls `Compute(T{})` with the type floats of this element type are computed in.
template <typename ComputeT>
auto withFloat(const MeaningContext &Context, mlir::Type ElementType, ComputeT Compute) {
  bool Double = Context.precision() == Precision::F64 || (Context.precision() == Precision::Own && ElementType.isF64());
  return Double ? Compute(double{}) : Compute(float{});
}

/// The same for any element type: whole numbers are computed in int64_t.
template <typename ComputeT>
auto withNumber(const MeaningContext &Context, mlir::Type ElementType, ComputeT Compute) {
  return mlir::isa<mlir::IntegerType>(ElementType) ? Compute(int64_t{}) : withFloat(Context, ElementType, Compute);
}

} // namespace vcc::tg

#endif
