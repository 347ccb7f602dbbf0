// SPDX-License-Identifier: Apache-2.0
//
// Attention's kernels, called as runtime/device/cpu calls them, against double loops: all lengths by one kernel for each head size.
#include "tests/unit/codegen/KernelProgram.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace vcc;
using namespace vcc::test;

namespace {

/// Kernels for single sequences and for several in a row.
std::string attentionText(int64_t D) {
  std::string Sizes = " sizes [1, 1, 1, 1, 1, " + std::to_string(D) + "] scale 1.0 block 1 scratch 64 threads 1 ";
  return "exec.module @stage sizes {weights = 0, state = 0, arena = 64, io = 0, constant = 0} {\n"
         "  exec.buffer @a arena at 0 size 4 : tensor<1xf32> why \"all\"\n"
         "  exec.function @f {\n"
         "    exec.attention @a, @a = @a, @a, @a workspace @a kernel @forward" + Sizes + "forward \"\" flops 0 bytes 0\n"
         "    exec.attention_grad @a, @a, @a = @a, @a, @a, @a, @a, @a workspace @a kernel @backward" + Sizes + "backward \"\" flops 0 bytes 0\n"
         "    exec.attention @a, @a = @a, @a, @a starts @a workspace @a kernel @packed_forward" + Sizes + "forward \"\" flops 0 bytes 0\n"
         "    exec.attention_grad @a, @a, @a = @a, @a, @a, @a, @a, @a starts @a workspace @a kernel @packed_backward" + Sizes + "backward \"\" flops 0 bytes 0\n"
         "  }\n}\n";
}

struct Shape {
  int64_t B, Sq, Sk, H, G;
  bool Causal, HasLengths;
  int64_t BlockRows = 64;
  /// 0: single sequences; else how long sequences in a row are on average; below 0: starts without any order.
  int64_t Sequence = 0;
};

struct Numbers {
  std::vector<double> Out, Lse, Dq, Dk, Dv;
};

struct Case {
  Shape S;
  int64_t D;
  float Scale = 0.3f;
  std::vector<float> Q, K, V, Dout, Out, Lse, Dq, Dk, Dv;
  std::vector<int32_t> Lengths, Starts;
  std::vector<int64_t> Ints;

  Case(Shape S, int64_t D) : S(S), D(D) {
    size_t Queries = size_t(S.B * S.Sq * S.H * D), Keys = size_t(S.B * S.Sk * S.G * D);
    Q = randomFloats(Queries, -2, 2, 1), K = randomFloats(Keys, -2, 2, 2), V = randomFloats(Keys, -1, 1, 3);
    Dout = randomFloats(Queries, -1, 1, 4);
    // What a kernel does not write stays visible.
    Out = Dq = std::vector<float>(Queries, 77), Dk = Dv = std::vector<float>(Keys, 77);
    Lse = std::vector<float>(size_t(S.B * S.H * S.Sq), 77);
    for (int64_t I = 0; I < S.B; ++I) // one sample has none, one more than there are
      Lengths.push_back(int32_t(I == 1 ? 0 : I == 2 ? S.Sk + 3 : 1 + (I * 7 + S.Sk / 2) % S.Sk));
    for (int64_t B = 0; B < S.B && S.Sequence; ++B)
      for (int64_t I = 0, Start = 0; I < S.Sq; ++I) {
        if ((I * 7 + B * 3) % std::abs(S.Sequence) == 0)
          Start = I;
        // Some point behind all keys, some before the first.
        Starts.push_back(int32_t(S.Sequence > 0 ? Start + S.Sk - S.Sq : (I * 29 + B * 11) % (S.Sk + 5) - 2));
      }
    Ints = {S.B, S.Sq, S.Sk, S.H, S.G, D, S.Causal, bitsOf(Scale), S.BlockRows, 0, 1};
  }
  int64_t seen(int64_t Sample, int64_t I) const {
    int64_t Length = S.HasLengths ? std::clamp<int64_t>(Lengths[Sample], 0, S.Sk) : S.Sk;
    return S.Causal ? std::clamp<int64_t>(I + S.Sk - S.Sq + 1, 0, Length) : Length;
  }
  int64_t first(int64_t Sample, int64_t I) const { return S.Sequence ? std::max<int64_t>(Starts[Sample * S.Sq + I], 0) : 0; }
  Numbers naive() const;
  void run(VccKernel Forward, VccKernel Backward);
  int64_t blocks() const { return (S.Sq + S.BlockRows - 1) / S.BlockRows; }
};

Numbers Case::naive() const {
  Numbers N{std::vector<double>(Q.size()), std::vector<double>(Lse.size()), std::vector<double>(Q.size()),
            std::vector<double>(K.size()), std::vector<double>(K.size())};
  for (int64_t B = 0; B < S.B; ++B)
    for (int64_t H = 0; H < S.H; ++H)
      for (int64_t I = 0; I < S.Sq; ++I) {
        auto AtQ = [&](int64_t C) { return size_t(((B * S.Sq + I) * S.H + H) * D + C); };
        auto AtK = [&](int64_t J, int64_t C) { return size_t(((B * S.Sk + J) * S.G + H / (S.H / S.G)) * D + C); };
        size_t First = size_t(first(B, I));
        std::vector<double> P(size_t(seen(B, I)));
        double Most = -INFINITY, Sum = 0, Delta = 0;
        for (size_t J = First; J < P.size(); ++J) {
          for (int64_t C = 0; C < D; ++C)
            P[J] += double(Q[AtQ(C)]) * K[AtK(int64_t(J), C)] * Scale;
          Most = std::max(Most, P[J]);
        }
        for (size_t J = First; J < P.size(); ++J)
          Sum += P[J] = std::exp(P[J] - Most);
        N.Lse[size_t((B * S.H + H) * S.Sq + I)] = First >= P.size() ? -INFINITY : Most + std::log(Sum);
        for (size_t J = First; J < P.size(); ++J)
          for (int64_t C = 0; C < D; ++C)
            N.Out[AtQ(C)] += P[J] / Sum * V[AtK(int64_t(J), C)];
        for (int64_t C = 0; C < D; ++C)
          Delta += N.Out[AtQ(C)] * Dout[AtQ(C)];
        for (size_t J = First; J < P.size(); ++J) {
          double Dp = 0;
          for (int64_t C = 0; C < D; ++C)
            Dp += double(Dout[AtQ(C)]) * V[AtK(int64_t(J), C)];
          for (int64_t C = 0; C < D; ++C) {
            double Ds = Scale * P[J] / Sum * (Dp - Delta);
            N.Dq[AtQ(C)] += Ds * K[AtK(int64_t(J), C)];
            N.Dk[AtK(int64_t(J), C)] += Ds * Q[AtQ(C)];
            N.Dv[AtK(int64_t(J), C)] += P[J] / Sum * Dout[AtQ(C)];
          }
        }
      }
  return N;
}

/// Exactly as much scratch as is declared, and behind it what must not change.
struct Scratch {
  std::vector<float> Floats;
  size_t Declared;
  Scratch(int64_t Bytes) : Floats(size_t(Bytes / 4) + 64, -5.0f), Declared(size_t(Bytes / 4)) {}
  void check() const {
    EXPECT_TRUE(std::all_of(Floats.begin() + int64_t(Declared), Floats.end(), [](float X) { return X == -5.0f; }))
        << "a kernel wrote behind its scratch";
  }
};

void Case::run(VccKernel Forward, VccKernel Backward) {
  void *Length = S.HasLengths ? Lengths.data() : nullptr, *Start = S.Sequence ? Starts.data() : nullptr;
  auto Bytes = [](std::vector<float> &X) { return std::pair<void *, size_t>(X.data(), X.size() * 4); };
  int64_t Rows = std::min(S.BlockRows, S.Sq);
  Ints[VCC_ATTENTION_BLOCK_ROWS] = Rows;
  Scratch One(vcc_attention_scratch_bytes(Rows, S.Sk, D, 0)), Two(vcc_attention_scratch_bytes(Rows, S.Sk, D, 1));
  launch(Forward, {Q.data(), K.data(), V.data(), Out.data(), Lse.data(), Length, Start, One.Floats.data()}, Ints, S.B * S.H * blocks(),
         {Bytes(Out), Bytes(Lse)});
  launch(Backward, {Q.data(), K.data(), V.data(), Out.data(), Lse.data(), Dout.data(), Dq.data(), Dk.data(), Dv.data(), Length, Start, Two.Floats.data()},
         Ints, S.B * S.G, {Bytes(Dq), Bytes(Dk), Bytes(Dv)});
  One.check();
  Two.check();
}

void expectNear(const std::vector<float> &Got, const std::vector<double> &Want, int64_t D, const char *What) {
  double Largest = 0, Worst = 0;
  for (size_t I = 0; I < Want.size(); ++I) {
    if (std::isinf(Want[I])) {
      EXPECT_EQ(Got[I], float(Want[I])) << What << " at " << I;
      continue;
    }
    ASSERT_TRUE(std::isfinite(Got[I])) << What << " at " << I;
    Largest = std::max(Largest, std::abs(Want[I]));
    Worst = std::max(Worst, std::abs(Got[I] - Want[I]));
  }
  // One key alone gets all: its score has no gradient but for rounding. Scores of long heads are long sums.
  EXPECT_LE(Worst, 3e-6 * std::max(D / 64.0, 1.0) * std::max(Largest, 0.3)) << What;
}

class HeadSizes : public ::testing::TestWithParam<int64_t> {};

TEST_P(HeadSizes, AllLengthsAgreeWithLoops) {
  int64_t D = GetParam();
  const Shape Shapes[] = {{2, 8, 8, 2, 2, false, false},       {3, 16, 24, 4, 2, true, true},   {2, 8, 64, 4, 4, false, true},
                          {1, 64, 64, 2, 2, false, false},     {3, 1, 1, 1, 1, true, false},    {2, 17, 33, 2, 1, true, true},
                          {2, 33, 17, 4, 2, true, false, 16},  {3, 5, 3, 3, 1, false, true, 2}, {1, 70, 256, 1, 1, true, false},
                          {2, 19, 300, 2, 1, false, true, 8},  {1, 130, 530, 2, 2, true, true}, {3, 12, 7, 6, 2, true, true, 5},
                          {2, 90, 90, 2, 1, true, true, 64, 17}, {1, 300, 300, 2, 2, true, false, 64, 70}, {2, 40, 60, 2, 2, true, false, 16, 9},
                          {2, 33, 20, 2, 1, false, true, 8, -1}, {1, 75, 290, 1, 1, true, false, 64, -1}};
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(attentionText(D), Cpu);
    for (const Shape &S : Shapes) {
      SCOPED_TRACE(Cpu + " " + std::to_string(S.B) + " x " + std::to_string(S.Sq) + "x" + std::to_string(S.Sk));
      Case Attention(S, D);
      std::string Kind = S.Sequence ? "packed_" : "";
      Attention.run(Program.find(Kind + "forward"), Program.find(Kind + "backward"));
      Numbers Want = Attention.naive();
      expectNear(Attention.Out, Want.Out, D, "out");
      expectNear(Attention.Lse, Want.Lse, D, "lse");
      expectNear(Attention.Dq, Want.Dq, D, "dq");
      expectNear(Attention.Dk, Want.Dk, D, "dk");
      expectNear(Attention.Dv, Want.Dv, D, "dv");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, HeadSizes, ::testing::Values(1, 4, 8, 16, 24, 40, 64, 96, 128));

} // namespace
