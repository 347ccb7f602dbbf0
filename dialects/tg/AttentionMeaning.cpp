// SPDX-License-Identifier: Apache-2.0
//
// Attention family in the reference interpreter: one query row at a time. With P the probabilities, Z the dropout factors
// and delta = sum(dout * out): dS = P (Z (dout . v) - delta).
#include "dialects/tg/Build.h"
#include "dialects/tg/Philox.h"
#include "dialects/tg/Walk.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace vcc::tg;

namespace {

// Sizes, mask and dropout of one attention operation.
struct Heads {
  int64_t B, Sq, H, D, Sk, G;
  double Scale;
  bool Causal;
  const HostTensor *Lengths = nullptr, *Starts = nullptr;
  double Rate = 0;
  std::optional<Draw> Random;

  template <typename OpT>
  Heads(OpT Op, const HostTensor &Q, const HostTensor &K, const HostTensor *Lengths, const HostTensor *Starts,
        const HostTensor *Rng)
      : B(Q.Shape[0]), Sq(Q.Shape[1]), H(Q.Shape[2]), D(Q.Shape[3]), Sk(K.Shape[1]), G(K.Shape[2]),
        Scale(Op.getScale().convertToDouble()), Causal(Op.getCausal()), Lengths(Lengths),
        Starts(Starts), Rate(Op.getDropout().convertToDouble()) {
    if (Rate > 0)
      Random.emplace(*Rng, Op.getSite()->hash());
  }

  int64_t query(int64_t Batch, int64_t I, int64_t Head) const { return ((Batch * Sq + I) * H + Head) * D; }
  int64_t key(int64_t Batch, int64_t J, int64_t Head) const { return ((Batch * Sk + J) * G + Head / (H / G)) * D; }
  // Keys first .. visible - 1 are seen.
  int64_t first(int64_t Batch, int64_t I) const {
    return Starts ? std::max<int64_t>(static_cast<int64_t>(Starts->Data[Batch * Sq + I]), 0) : 0;
  }
  int64_t visible(int64_t Batch, int64_t I) const {
    int64_t End = Sk;
    if (Causal)
      End = std::min(End, I + (Sk - Sq) + 1);
    if (Lengths)
      End = std::min(End, static_cast<int64_t>(Lengths->Data[Batch]));
    return std::max<int64_t>(End, 0);
  }
  template <typename T> T factor(int64_t Batch, int64_t Head, int64_t I, int64_t J) const {
    if (Rate == 0)
      return T(1);
    auto Inner = static_cast<uint32_t>((Head * Sq + I) * Sk + J);
    return Random->uniform(Inner, static_cast<uint32_t>(Batch)) >= Rate ? T(1) / T(1 - Rate) : T(0);
  }
};

// `Optional`: the place of the first operand that may be absent.
template <typename OpT> Heads headsOf(OpT Op, ArrayRef<const HostTensor *> In, size_t Optional) {
  auto Next = [&](Value Operand) { return Operand ? In[Optional++] : nullptr; };
  const HostTensor *Lengths = Next(Op.getLengths()), *Starts = Next(Op.getStarts());
  return Heads(Op, *In[0], *In[1], Lengths, Starts, Next(Op.getRng()));
}

template <typename T> T dot(const double *A, const double *B, int64_t Count) {
  T Sum = 0;
  for (int64_t I = 0; I < Count; ++I)
    Sum += static_cast<T>(A[I]) * static_cast<T>(B[I]);
  return Sum;
}

// Y += factor * X
template <typename T> void axpy(T Factor, const double *X, double *Y, int64_t Count) {
  for (int64_t I = 0; I < Count; ++I)
    Y[I] = static_cast<double>(static_cast<T>(Y[I]) + Factor * static_cast<T>(X[I]));
}

template <typename T>
void attendRow(const Heads &S, const double *Q, const double *K, const double *V, int64_t Batch, int64_t Head,
               int64_t I, std::vector<T> &Scores, double *Out, double &Lse) {
  int64_t First = S.first(Batch, I), End = S.visible(Batch, I);
  T Largest = -std::numeric_limits<T>::infinity(), Sum = 0;
  for (int64_t J = First; J < End; ++J) {
    Scores[J] = static_cast<T>(S.Scale) * dot<T>(Q + S.query(Batch, I, Head), K + S.key(Batch, J, Head), S.D);
    Largest = std::max(Largest, Scores[J]);
  }
  for (int64_t J = First; J < End; ++J)
    Sum += std::exp(Scores[J] - Largest);
  Lse = First >= End ? -std::numeric_limits<double>::infinity() : static_cast<double>(Largest + std::log(Sum));
  for (int64_t J = First; J < End; ++J) {
    T P = std::exp(Scores[J] - Largest) / Sum * S.factor<T>(Batch, Head, I, J);
    axpy<T>(P, V + S.key(Batch, J, Head), Out + S.query(Batch, I, Head), S.D);
  }
}

template <typename T> struct Backward {
  const Heads &S;
  const double *Q, *K, *V, *Out, *Lse, *Dout;
  double *Dq, *Dk, *Dv;

  void row(int64_t Batch, int64_t Head, int64_t I) const {
    int64_t Row = S.query(Batch, I, Head);
    T Delta = dot<T>(Out + Row, Dout + Row, S.D), Scale = static_cast<T>(S.Scale);
    for (int64_t J = S.first(Batch, I), End = S.visible(Batch, I); J < End; ++J) {
      int64_t Key = S.key(Batch, J, Head);
      T P = std::exp(Scale * dot<T>(Q + Row, K + Key, S.D) - static_cast<T>(Lse[(Batch * S.H + Head) * S.Sq + I]));
      T Z = S.factor<T>(Batch, Head, I, J);
      axpy<T>(P * Z, Dout + Row, Dv + Key, S.D);
      T Ds = Scale * P * (Z * dot<T>(Dout + Row, V + Key, S.D) - Delta);
      axpy<T>(Ds, K + Key, Dq + Row, S.D);
      axpy<T>(Ds, Q + Row, Dk + Key, S.D);
    }
  }
};

template <typename RowT> void forRows(const Heads &S, RowT Row) {
  for (int64_t Batch = 0; Batch < S.B; ++Batch)
    for (int64_t Head = 0; Head < S.H; ++Head)
      for (int64_t I = 0; I < S.Sq; ++I)
        Row(Batch, Head, I);
}

} // namespace

LogicalResult AttentionOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                    MutableArrayRef<HostTensor> Out) {
  Heads S = headsOf(*this, In, 3);
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    std::vector<T> Scores(S.Sk);
    forRows(S, [&](int64_t Batch, int64_t Head, int64_t I) {
      attendRow<T>(S, In[0]->Data.data(), In[1]->Data.data(), In[2]->Data.data(), Batch, Head, I, Scores,
                   Out[0].Data.data(), Out[1].Data[(Batch * S.H + Head) * S.Sq + I]);
    });
    return success();
  });
}

LogicalResult AttentionGradOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                        MutableArrayRef<HostTensor> Out) {
  Heads S = headsOf(*this, In, 6);
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    Backward<T> Run{S,
                    In[0]->Data.data(),
                    In[1]->Data.data(),
                    In[2]->Data.data(),
                    In[3]->Data.data(),
                    In[4]->Data.data(),
                    In[5]->Data.data(),
                    Out[0].Data.data(),
                    Out[1].Data.data(),
                    Out[2].Data.data()};
    forRows(S, [&](int64_t Batch, int64_t Head, int64_t I) { Run.row(Batch, Head, I); });
    return success();
  });
}
