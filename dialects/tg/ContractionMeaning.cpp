// SPDX-License-Identifier: Apache-2.0
//
// Contraction family in the reference interpreter: both operands are packed row-major by precomputed offsets, then a
// plain triple loop runs.
#include "dialects/tg/Build.h"
#include "dialects/tg/Walk.h"

#include <cmath>

using namespace mlir;
using namespace vcc::tg;

namespace {

// Where the elements of one operand of a product stand.
struct Panel {
  std::vector<int64_t> Batch, Outer, Inner;
};

SmallVector<int64_t> pick(ArrayRef<int64_t> Values, ArrayRef<int64_t> Axes) {
  SmallVector<int64_t> Picked;
  for (int64_t Axis : Axes)
    Picked.push_back(Values[Axis]);
  return Picked;
}

Panel panelOf(const HostTensor &X, ArrayRef<int64_t> Batch, ArrayRef<int64_t> Outer, ArrayRef<int64_t> Inner) {
  SmallVector<int64_t> Strides = rowMajorStrides(X.Shape);
  auto Offsets = [&](ArrayRef<int64_t> Axes) { return offsetsOf(pick(X.Shape, Axes), pick(Strides, Axes)); };
  return {Offsets(Batch), Offsets(Outer), Offsets(Inner)};
}

Panel stridedPanel(ArrayRef<int64_t> Batch, int64_t Outer, int64_t Inner, ArrayRef<int64_t> Strides, int64_t Offset) {
  Panel P{offsetsOf(Batch, Strides.take_front(Batch.size())), {}, {}};
  for (int64_t &Start : P.Batch)
    Start += Offset;
  P.Outer = offsetsOf(Outer, Strides[Batch.size()]);
  P.Inner = offsetsOf(Inner, Strides[Batch.size() + 1]);
  return P;
}

template <typename T> void pack(const HostTensor &X, const Panel &P, int64_t Start, std::vector<T> &Packed) {
  T *To = Packed.data();
  for (int64_t O : P.Outer)
    for (int64_t I : P.Inner)
      *To++ = static_cast<T>(X.Data[Start + O + I]);
}

// Calls Store(batch, products) with the row-major [m, n] product of each batch.
template <typename T, typename StoreT>
void multiply(const HostTensor &A, const Panel &PA, const HostTensor &B, const Panel &PB, StoreT Store) {
  size_t M = PA.Outer.size(), K = PA.Inner.size(), N = PB.Inner.size();
  std::vector<T> PackedA(M * K), PackedB(K * N), C(M * N);
  for (size_t Batch = 0; Batch < PA.Batch.size(); ++Batch) {
    pack(A, PA, PA.Batch[Batch], PackedA);
    pack(B, PB, PB.Batch[Batch], PackedB);
    std::fill(C.begin(), C.end(), T(0));
    for (size_t I = 0; I < M; ++I)
      for (size_t L = 0; L < K; ++L) {
        T Factor = PackedA[I * K + L];
        const T *Row = PackedB.data() + L * N;
        T *Sum = C.data() + I * N;
        for (size_t J = 0; J < N; ++J)
          Sum[J] += Factor * Row[J];
      }
    Store(Batch, C);
  }
}

template <typename T> T activate(Activation Kind, T X) {
  switch (Kind) {
  case Activation::None:
    return X;
  case Activation::Gelu:
    // The root in single precision, as the graph has it that the activation was folded from.
    return T(0.5) * X * (T(1) + std::erf(X * T(0.70710678118654752440f)));
  case Activation::Silu:
    return X / (T(1) + std::exp(-X));
  }
  llvm_unreachable("all activations are handled");
}

} // namespace

LogicalResult DotGeneralOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                     MutableArrayRef<HostTensor> Out) {
  auto Free = [](const HostTensor &X, ArrayRef<int64_t> Batch, ArrayRef<int64_t> Contract) {
    SmallVector<int64_t> Named(Batch);
    llvm::append_range(Named, Contract);
    return otherAxes(X.rank(), Named);
  };
  Panel A = panelOf(*In[0], getBatchA(), Free(*In[0], getBatchA(), getContractA()), getContractA());
  Panel B = panelOf(*In[1], getBatchB(), getContractB(), Free(*In[1], getBatchB(), getContractB()));
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    multiply<T>(*In[0], A, *In[1], B, [&](size_t Batch, const std::vector<T> &C) {
      llvm::copy(C, Out[0].Data.begin() + static_cast<int64_t>(Batch * C.size()));
    });
    return success();
  });
}

LogicalResult GemmOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                               MutableArrayRef<HostTensor> Out) {
  auto M = static_cast<int64_t>(getM()), N = static_cast<int64_t>(getN()), K = static_cast<int64_t>(getK());
  Panel A = stridedPanel(getBatch(), M, K, getAStrides(), getAOffset());
  Panel B = stridedPanel(getBatch(), K, N, getBStrides(), getBOffset());
  Panel C = stridedPanel(getBatch(), M, N, getCStrides(), 0);
  const HostTensor *Bias = getBias() ? In[2] : nullptr, *Addend = getAddend() ? In.back() : nullptr;
  Activation Kind = getActivation();
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    multiply<T>(*In[0], A, *In[1], B, [&](size_t Batch, const std::vector<T> &Products) {
      for (int64_t I = 0; I < M; ++I)
        for (int64_t J = 0; J < N; ++J) {
          int64_t To = C.Batch[Batch] + C.Outer[I] + C.Inner[J];
          T Sum = Products[I * N + J];
          if (Bias)
            Sum += static_cast<T>(Bias->Data[J]);
          if (Addend)
            Sum += static_cast<T>(Addend->Data[To]);
          Out[0].Data[To] = static_cast<double>(activate<T>(Kind, Sum));
        }
    });
    return success();
  });
}
