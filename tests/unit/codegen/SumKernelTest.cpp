// SPDX-License-Identifier: Apache-2.0
//
// Sums over rows by chunks, and rows added into a table by number.
#include "tests/unit/codegen/KernelProgram.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace vcc::test;

namespace {

TEST(SumKernel, ColumnSumsBesideRowResults) {
  std::string Body = R"(
    %p = tg.mul %x, %g : tensor<$Cxf32>
    %s = tg.reduce %p {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>
    %sb = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %y = tg.sub %g, %sb : tensor<$Cxf32>
    tg.yield %p, %s, %y, %g : tensor<$Cxf32>, tensor<f32>, tensor<$Cxf32>, tensor<$Cxf32>)";
  for (const std::string &Cpu : runnableCpus())
    for (int64_t C : {1, 3, 4, 6, 8, 16, 33, 96, 130, 257, 1000}) {
      KernelProgram Program(kernelText("k", "row", C, "%x: tensor<$Cxf32>, %g: tensor<$Cxf32>", "#tg.param<row>, #tg.param<row>",
                                       "#tg.result<column_sum>, #tg.result<total_sum>, #tg.result<row>, #tg.result<column_sum>", Body),
                            Cpu);
      int64_t R = 45, Chunk = 8, P = 6;
      std::vector<float> X = randomFloats(R * C, -1, 1), G = randomFloats(R * C, -1, 1, 2);
      std::vector<float> Sum(P * C + 1, 5), Total(P + 1, 5), Y(R * C), Bias(P * C + 1, 5);
      LaunchSpec Spec{{5, 9}, {{0, {9 * C, C}}, {0, {9 * C, C}}, {}, {}, {0, {9 * C, C}}, {}}, {}, Chunk};
      launch(Program.find("k"), {X.data(), G.data(), Sum.data(), Total.data(), Y.data(), Bias.data()}, Spec, P,
             {{Sum.data(), Sum.size() * 4}, {Total.data(), Total.size() * 4}, {Y.data(), Y.size() * 4}, {Bias.data(), Bias.size() * 4}});
      for (int64_t Q = 0; Q < P; ++Q) {
        double All = 0;
        for (int64_t J = 0; J < C; ++J) {
          double S = 0, B = 0;
          for (int64_t I = Q * Chunk; I < std::min(R, (Q + 1) * Chunk); ++I) {
            S += double(X[I * C + J]) * G[I * C + J];
            B += G[I * C + J];
          }
          All += S;
          ASSERT_NEAR(Sum[Q * C + J], S, 1e-5);
          ASSERT_NEAR(Bias[Q * C + J], B, 1e-5);
        }
        ASSERT_NEAR(Total[Q], All, 1e-4);
      }
      for (int64_t I = 0; I < R; ++I) {
        double S = 0;
        for (int64_t J = 0; J < C; ++J)
          S += double(X[I * C + J]) * G[I * C + J];
        for (int64_t J = 0; J < C; ++J)
          ASSERT_NEAR(Y[I * C + J], G[I * C + J] - S, 1e-4);
      }
      EXPECT_EQ(Sum.back(), 5);
      EXPECT_EQ(Total.back(), 5);
      EXPECT_EQ(Bias.back(), 5);
    }
}

TEST(SumKernel, FinishesPartialsThroughColumnStride) {
  // y[c] = sum over p of partial[p][c]: rows are columns, and their elements lie C apart.
  int64_t C = 70, P = 12;
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(kernelText("k", "row", P, "%x: tensor<$Cxf32>", "#tg.param<row stride(70)>", "#tg.result<scalar>",
                                     "%s = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>\n"
                                     "tg.yield %s : tensor<f32>"),
                          Cpu);
    std::vector<float> X = randomFloats(P * C, -1, 1), Y(C);
    launch(Program.find("k"), {X.data(), Y.data()}, {{C}, {{0, {1}}, {0, {1}}}, {}, 0}, C, {{Y.data(), Y.size() * 4}});
    for (int64_t J = 0; J < C; ++J) {
      double S = 0;
      for (int64_t I = 0; I < P; ++I)
        S += X[I * C + J];
      ASSERT_NEAR(Y[J], S, 1e-5);
    }
  }
}

TEST(SumKernel, TotalOfElements) {
  int64_t N = 10007, Chunk = 1024, P = 10;
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(kernelText("k", "flat", 1, "%x: tensor<f32>", "#tg.param<scalar>", "#tg.result<total_sum>",
                                     "%y = tg.mul %x, %x : tensor<f32>\n tg.yield %y : tensor<f32>"),
                          Cpu);
    std::vector<float> X = randomFloats(N, -1, 1), Sum(P);
    launch(Program.find("k"), {X.data(), Sum.data()}, {{N}, {{0, {1}}, {}}, {}, Chunk}, P, {{Sum.data(), Sum.size() * 4}});
    for (int64_t Q = 0; Q < P; ++Q) {
      double S = 0;
      for (int64_t I = Q * Chunk; I < std::min(N, (Q + 1) * Chunk); ++I)
        S += double(X[I]) * X[I];
      ASSERT_NEAR(Sum[Q], S, 1e-3);
    }
  }
}

TEST(ScatterKernel, AddsRowsInOrderIntoZeroes) {
  for (const std::string &Cpu : runnableCpus())
    for (int64_t C : {1, 5, 16, 40, 200}) {
      KernelProgram Program(kernelText("k", "scatter", C, "%id: tensor<i32>, %x: tensor<$Cxf32>, %s: tensor<f32>",
                                       "#tg.param<scalar>, #tg.param<row>, #tg.param<uniform>", "#tg.result<scatter index(0)>",
                                       "%b = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>\n"
                                       "%y = tg.mul %x, %b : tensor<$Cxf32>\n tg.yield %y : tensor<$Cxf32>"),
                            Cpu);
      int64_t R = 23, V = 7;
      std::vector<int32_t> Ids(R);
      for (int64_t I = 0; I < R; ++I)
        Ids[I] = int32_t(I * 5 % 9) - 1; // -1 and 7 are outside
      std::vector<float> X = randomFloats(R * C, -1, 1), T(V * C + 1, 9.0f);
      LaunchSpec Spec{{R}, {{0, {1}}, {0, {C}}, {0, {0, C, V}}}, {bitsOf(0.5f)}, 0};
      launch(Program.find("k"), {Ids.data(), X.data(), T.data()}, Spec, V, {{T.data(), T.size() * 4}});
      std::vector<float> Want(V * C);
      for (int64_t I = 0; I < R; ++I)
        for (int64_t J = 0; J < C; ++J)
          Want[(Ids[I] >= 0 && Ids[I] < V ? Ids[I] : 0) * C + J] += X[I * C + J] * 0.5f;
      for (int64_t I = 0; I < V * C; ++I)
        ASSERT_EQ(T[I], Want[I]);
      EXPECT_EQ(T.back(), 9.0f);
    }
}

} // namespace
