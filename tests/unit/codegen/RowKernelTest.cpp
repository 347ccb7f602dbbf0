// SPDX-License-Identifier: Apache-2.0
//
// Row kernels against plain loops: every way that a row can be cut into vectors, strides, broadcasts, index tables, constants.
#include "tests/unit/codegen/KernelProgram.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

using namespace vcc::test;

namespace {

const int64_t Widths[] = {1, 3, 4, 5, 7, 8, 15, 16, 17, 33, 64, 100, 129, 257, 1000, 3000};

class Width : public ::testing::TestWithParam<std::tuple<int64_t, std::string>> {
protected:
  int64_t C = std::get<0>(GetParam());
  std::string Cpu = std::get<1>(GetParam());
};

const std::string RowTypes = "%x: tensor<$Cxf32>";

TEST_P(Width, SoftmaxOfRows) {
  KernelProgram Program(kernelText("k", "row", C, RowTypes, "#tg.param<row>", "#tg.result<row>",
                                   "%y = tg.softmax %x : tensor<$Cxf32>\n tg.yield %y : tensor<$Cxf32>"),
                        Cpu);
  int64_t R = 13;
  std::vector<float> X = randomFloats(R * C, -30, 30), Y(R * C + 1, 42.0f);
  launch(Program.find("k"), {X.data(), Y.data()}, {{R}, {{0, {C}}, {0, {C}}}, {}, 0}, R, {{Y.data(), Y.size() * 4}});
  for (int64_t I = 0; I < R; ++I) {
    double Sum = 0, Largest = -1e30;
    for (int64_t J = 0; J < C; ++J)
      Largest = std::max(Largest, double(X[I * C + J]));
    for (int64_t J = 0; J < C; ++J)
      Sum += std::exp(X[I * C + J] - Largest);
    for (int64_t J = 0; J < C; ++J)
      ASSERT_NEAR(Y[I * C + J], std::exp(X[I * C + J] - Largest) / Sum, 2e-6) << I << ", " << J;
  }
  EXPECT_EQ(Y.back(), 42.0f) << "stored beyond the row";
}

TEST_P(Width, NormalizesInPlaceThroughOuterStrides) {
  // Rows of a [2, 3, 5, C] tensor whose middle dimensions are swapped; the result takes the place of x.
  std::string Body = R"(
    %sum = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>
    %n = tg.constant dense<$C.0> : tensor<f32>
    %mean = tg.div %sum, %n : tensor<f32>
    %mb = tg.broadcast %mean {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %d = tg.sub %x, %mb : tensor<$Cxf32>
    %dd = tg.mul %d, %d : tensor<$Cxf32>
    %ss = tg.reduce %dd {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>
    %var = tg.div %ss, %n : tensor<f32>
    %e = tg.add %var, %eps : tensor<f32>
    %r = tg.rsqrt %e : tensor<f32>
    %rb = tg.broadcast %r {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %s = tg.mul %d, %rb : tensor<$Cxf32>
    %y = tg.mul %s, %w : tensor<$Cxf32>
    tg.yield %y, %mean, %r : tensor<$Cxf32>, tensor<f32>, tensor<f32>)";
  KernelProgram Program(kernelText("k", "row", C, "%x: tensor<$Cxf32>, %w: tensor<$Cxf32>, %eps: tensor<f32>",
                                   "#tg.param<row>, #tg.param<row>, #tg.param<uniform>",
                                   "#tg.result<row>, #tg.result<scalar>, #tg.result<scalar>", Body),
                        Cpu);
  int64_t R = 30, Offset = 3;
  std::vector<float> X = randomFloats(R * C + Offset, -2, 5), W = randomFloats(C, 0.5f, 2.0f, 2), Mean(R), Rstd(R), Given = X;
  std::vector<int64_t> Strides = {15 * C, C, 3 * C}; // dims [2, 3, 5] over a [2, 5, 3, C] tensor
  LaunchSpec Spec{{2, 3, 5}, {{Offset, Strides}, {0, {0, 0, 0}}, {Offset, Strides}, {0, {15, 5, 1}}, {0, {15, 5, 1}}}, {bitsOf(1e-5f)}, 0};
  launch(Program.find("k"), {X.data(), W.data(), X.data(), Mean.data(), Rstd.data()}, Spec, R,
         {{X.data(), X.size() * 4}, {Mean.data(), Mean.size() * 4}, {Rstd.data(), Rstd.size() * 4}});
  for (int64_t I = 0; I < R; ++I) {
    int64_t At = Offset + I / 15 * 15 * C + I / 5 % 3 * C + I % 5 * 3 * C;
    double Sum = 0, Squares = 0;
    for (int64_t J = 0; J < C; ++J)
      Sum += Given[At + J];
    double M = Sum / C;
    for (int64_t J = 0; J < C; ++J)
      Squares += (Given[At + J] - M) * (Given[At + J] - M);
    double Inverse = 1 / std::sqrt(Squares / C + 1e-5);
    ASSERT_NEAR(Mean[I], M, 1e-5);
    ASSERT_NEAR(Rstd[I] / Inverse, 1, 2e-4);
    for (int64_t J = 0; J < C; ++J)
      ASSERT_NEAR(X[At + J], (Given[At + J] - M) * Inverse * W[J], 2e-3 * (C == 1 ? 100 : 1)) << I << ", " << J;
  }
}

TEST_P(Width, ReadsTableRowsAndStridedColumns) {
  // y[r, c] = table[ids[r], c] * strided[c * 3], with ids outside of the table.
  KernelProgram Program(
      kernelText("k", "row", C, "%id: tensor<i32>, %t: tensor<$Cxf32>, %s: tensor<$Cxf32>, %b: tensor<$Cxi1>",
                 "#tg.param<scalar>, #tg.param<indexed index(0)>, #tg.param<row stride(3)>, #tg.param<row stride(0)>",
                 "#tg.result<row>, #tg.result<row stride(2)>, #tg.result<row>",
                 "%y = tg.mul %t, %s : tensor<$Cxf32>\n %z = tg.select %b, %y, %t : tensor<$Cxi1>, tensor<$Cxf32>\n"
                 "%p = tg.compare %y, %z {predicate = #tg.predicate<eq>} : tensor<$Cxf32>\n"
                 "tg.yield %y, %z, %p : tensor<$Cxf32>, tensor<$Cxf32>, tensor<$Cxi1>"),
      Cpu);
  int64_t R = 9, V = 4;
  std::vector<int32_t> Ids = {0, 3, -1, 4, 2, 1, 1000000, 3, -2147483647};
  std::vector<float> T = randomFloats(V * C, -1, 1), S = randomFloats(3 * C, -1, 1, 2), Y(R * C), Z(2 * R * C, 7.0f);
  std::vector<uint8_t> B = {1, 0, 1, 1, 0, 0, 1, 0, 1}, P(R * C);
  LaunchSpec Spec{{R}, {{0, {1}}, {0, {0, C, V}}, {0, {0}}, {0, {1}}, {0, {C}}, {0, {2 * C}}, {0, {C}}}, {}, 0};
  launch(Program.find("k"), {Ids.data(), T.data(), S.data(), B.data(), Y.data(), Z.data(), P.data()}, Spec, R,
         {{Y.data(), Y.size() * 4}, {Z.data(), Z.size() * 4}, {P.data(), P.size()}});
  for (int64_t I = 0; I < R; ++I)
    for (int64_t J = 0; J < C; ++J) {
      float Entry = T[(Ids[I] >= 0 && Ids[I] < V ? Ids[I] : 0) * C + J], Product = Entry * S[3 * J];
      float Other = B[I] ? Product : Entry;
      ASSERT_EQ(Y[I * C + J], Product);
      ASSERT_EQ(Z[I * 2 * C + 2 * J], Other);
      ASSERT_EQ(Z[I * 2 * C + 2 * J + 1], 7.0f) << "stored between strided columns";
      ASSERT_EQ(P[I * C + J], Product == Other);
    }
}

TEST_P(Width, WholeNumbersAndPlaces) {
  std::string Body = R"(
    %i = tg.iota : tensor<$Cxi32>
    %r = tg.row_index : tensor<i32>
    %rb = tg.broadcast %r {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %x32 = tg.cast %x : tensor<$Cxui8> -> tensor<$Cxi32>
    %d = tg.div %x32, %rb : tensor<$Cxi32>
    %s = tg.sub %d, %i : tensor<$Cxi32>
    %m = tg.max %s, %rb : tensor<$Cxi32>
    %sum = tg.reduce %s {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxi32>) -> tensor<i32>
    %low = tg.reduce %s {kind = #tg.reduce_kind<min>, axes = array<i64: 0>} : (tensor<$Cxi32>) -> tensor<i32>
    %f = tg.cast %m : tensor<$Cxi32> -> tensor<$Cxf32>
    tg.yield %f, %sum, %low : tensor<$Cxf32>, tensor<i32>, tensor<i32>)";
  KernelProgram Program(kernelText("k", "row", C, "%x: tensor<$Cxui8>", "#tg.param<row>",
                                   "#tg.result<row>, #tg.result<scalar>, #tg.result<scalar>", Body),
                        Cpu);
  int64_t R = 6;
  std::vector<uint8_t> X(R * C);
  for (size_t I = 0; I < X.size(); ++I)
    X[I] = uint8_t(I * 37 + 200);
  std::vector<float> F(R * C);
  std::vector<int32_t> Sum(R), Low(R);
  launch(Program.find("k"), {X.data(), F.data(), Sum.data(), Low.data()}, {{R}, {{0, {C}}, {0, {C}}, {0, {1}}, {0, {1}}}, {}, 0}, R,
         {{F.data(), F.size() * 4}, {Sum.data(), Sum.size() * 4}, {Low.data(), Low.size() * 4}});
  for (int64_t I = 0; I < R; ++I) {
    int32_t S = 0, L = INT32_MAX;
    for (int64_t J = 0; J < C; ++J) {
      int32_t D = (I ? X[I * C + J] / int32_t(I) : 0) - int32_t(J);
      S += D;
      L = std::min(L, D);
      ASSERT_EQ(F[I * C + J], float(std::max<int32_t>(D, int32_t(I))));
    }
    ASSERT_EQ(Sum[I], S);
    ASSERT_EQ(Low[I], L);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, Width, ::testing::Combine(::testing::ValuesIn(Widths), ::testing::ValuesIn(runnableCpus())),
                         [](const auto &Info) {
                           std::string Cpu = std::get<1>(Info.param);
                           return std::to_string(std::get<0>(Info.param)) + "_" + Cpu.substr(Cpu.size() - 2);
                         });

TEST(RowKernel, KeepsWhatIsDearBetweenPhases) {
  // exp is needed by the sum and by the result; 5000 columns are beyond registers.
  int64_t C = 5000, R = 3;
  KernelProgram Program(kernelText("k", "row", C, "%x: tensor<$Cxf32>, %t: tensor<$Cxf32>", "#tg.param<row>, #tg.param<row>",
                                   "#tg.result<row>, #tg.result<scalar>",
                                   R"(%e = tg.exp %x : tensor<$Cxf32>
    %c = tg.constant dense<1.5> : tensor<$Cxf32>
    %a = tg.add %e, %c : tensor<$Cxf32>
    %s = tg.reduce %a {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>
    %b = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %y = tg.sub %e, %b : tensor<$Cxf32>
    %z = tg.mul %y, %t : tensor<$Cxf32>
    tg.yield %z, %s : tensor<$Cxf32>, tensor<f32>)"));
  std::vector<float> X = randomFloats(R * C, -3, 3), T = randomFloats(C, -1, 1, 2), Y(R * C), S(R);
  launch(Program.find("k"), {X.data(), T.data(), Y.data(), S.data()}, {{R}, {{0, {C}}, {0, {0}}, {0, {C}}, {0, {1}}}, {}, 0}, R,
         {{Y.data(), Y.size() * 4}, {S.data(), S.size() * 4}});
  for (int64_t I = 0; I < R; ++I) {
    double Largest = 0;
    for (int64_t J = 0; J < C; ++J)
      Largest = std::max(Largest, std::exp(double(X[I * C + J])) + 1.5);
    ASSERT_NEAR(S[I], Largest, 1e-5);
    for (int64_t J = 0; J < C; ++J)
      ASSERT_NEAR(Y[I * C + J], (std::exp(double(X[I * C + J])) - Largest) * T[J], 2e-5);
  }
}

TEST(RowKernel, HoldsConstantRows) {
  int64_t C = 20, R = 4;
  std::string Numbers;
  for (int64_t J = 0; J < C; ++J)
    Numbers += (J ? ", " : "") + std::to_string(J * J) + ".0";
  KernelProgram Program(kernelText("k", "row", C, "%x: tensor<$Cxf32>", "#tg.param<row>", "#tg.result<row>",
                                   "%c = tg.constant dense<[" + Numbers + "]> : tensor<$Cxf32>\n" +
                                       "%y = tg.mul %x, %c : tensor<$Cxf32>\n tg.yield %y : tensor<$Cxf32>"));
  std::vector<float> X = randomFloats(R * C, -1, 1), Y(R * C);
  launch(Program.find("k"), {X.data(), Y.data()}, {{R}, {{0, {C}}, {0, {C}}}, {}, 0}, R, {{Y.data(), Y.size() * 4}});
  for (int64_t I = 0; I < R * C; ++I)
    ASSERT_EQ(Y[I], X[I] * float((I % C) * (I % C)));
}

TEST(RowKernel, DrawsTheSameWhateverTheVector) {
  // One row per sample, as dropout over [B, C]; compared across CPUs and with the numbers of the Philox paper's authors.
  int64_t C = 40, R = 5;
  std::string Body = R"(
    %i = tg.iota : tensor<$Cxi32>
    %r = tg.row_index : tensor<i32>
    %s = tg.add %r, %first : tensor<i32>
    %sb = tg.broadcast %s {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %kl = tg.broadcast %k0 {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %kh = tg.broadcast %k1 {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %st = tg.broadcast %step {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %si = tg.broadcast %site {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %u = tg.draw_uniform key(%kl, %kh) counter(%i, %sb, %st, %si) : tensor<$Cxi32> -> tensor<$Cxf32>
    %n = tg.draw_normal key(%kl, %kh) counter(%i, %sb, %st, %si) : tensor<$Cxi32> -> tensor<$Cxf32>
    tg.yield %u, %n : tensor<$Cxf32>, tensor<$Cxf32>)";
  std::string Text = kernelText("k", "row", C, "%k0: tensor<i32>, %k1: tensor<i32>, %step: tensor<i32>, %first: tensor<i32>, %site: tensor<i32>",
                                "#tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<uniform>",
                                "#tg.result<row>, #tg.result<row>", Body);
  std::vector<int32_t> Rng = {0, 0, 0, 0};
  std::vector<float> Base;
  for (const std::string &Cpu : runnableCpus()) {
    std::vector<float> U(R * C), N(R * C);
    KernelProgram Program(Text, Cpu);
    LaunchSpec Spec{{R}, {{0, {0}}, {1, {0}}, {2, {0}}, {3, {0}}, {0, {C}}, {0, {C}}}, {0}, 0};
    launch(Program.find("k"), {Rng.data(), Rng.data(), Rng.data(), Rng.data(), U.data(), N.data()}, Spec, R,
           {{U.data(), U.size() * 4}, {N.data(), N.size() * 4}});
    // Known answer: counter 0, key 0 gives 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
    EXPECT_EQ(U[0], float(0x6627e8d5u >> 8) * 0x1p-24f);
    double U0 = double(0x6627e8d5u >> 8) * 0x1p-24, U1 = double(0xe169c58du >> 8) * 0x1p-24;
    EXPECT_NEAR(N[0], std::sqrt(-2 * std::log(1 - U0)) * std::cos(2 * M_PI * U1), 1e-6);
    if (Base.empty())
      Base = U;
    EXPECT_EQ(U, Base) << Cpu;
  }
}

} // namespace
