// SPDX-License-Identifier: Apache-2.0
//
// Flat kernels: contiguous, constant and strided operands, tails of every length, in place, transposes.
#include "tests/unit/codegen/KernelProgram.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace vcc::test;

namespace {

const std::string Update = R"(
    %one = tg.constant dense<1.0> : tensor<f32>
    %keep = tg.sub %one, %beta : tensor<f32>
    %a = tg.mul %m, %beta : tensor<f32>
    %b = tg.mul %g, %keep : tensor<f32>
    %m2 = tg.add %a, %b : tensor<f32>
    %s = tg.mul %m2, %lr : tensor<f32>
    %w2 = tg.sub %w, %s : tensor<f32>
    tg.yield %w2, %m2 : tensor<f32>, tensor<f32>)";

class FlatSize : public ::testing::TestWithParam<int64_t> {};

TEST_P(FlatSize, UpdatesInPlaceWithOneRate) {
  int64_t N = GetParam();
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(
        kernelText("k", "flat", 1, "%w: tensor<f32>, %g: tensor<f32>, %m: tensor<f32>, %lr: tensor<f32>, %beta: tensor<f32>",
                   "#tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<uniform>",
                   "#tg.result<scalar>, #tg.result<scalar>", Update),
        Cpu);
    std::vector<float> W = randomFloats(N + 1, -1, 1), G = randomFloats(N, -1, 1, 2), M = randomFloats(N, -1, 1, 3), Lr = {0.125f};
    std::vector<float> W0 = W, M0 = M;
    LaunchSpec Spec{{N}, {{0, {1}}, {0, {1}}, {0, {1}}, {0, {0}}, {0, {1}}, {0, {1}}}, {bitsOf(0.75f)}, 0};
    launch(Program.find("k"), {W.data(), G.data(), M.data(), Lr.data(), W.data(), M.data()}, Spec, N,
           {{W.data(), W.size() * 4}, {M.data(), M.size() * 4}});
    for (int64_t I = 0; I < N; ++I) {
      volatile float A = M0[I] * 0.75f, B = G[I] * 0.25f; // as written: no fused multiply-add
      volatile float M2 = A + B, S = M2 * 0.125f;
      ASSERT_EQ(M[I], M2);
      ASSERT_EQ(W[I], W0[I] - S);
    }
    EXPECT_EQ(W.back(), W0.back()) << "stored beyond the end";
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, FlatSize, ::testing::Values(1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1000, 4097));

TEST(FlatKernel, TransposesThroughStrides) {
  int64_t A = 5, B = 37, C = 3;
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(kernelText("k", "flat", 1, "%x: tensor<f32>, %b: tensor<i1>", "#tg.param<scalar>, #tg.param<scalar>",
                                     "#tg.result<scalar>",
                                     "%z = tg.neg %x : tensor<f32>\n %y = tg.select %b, %x, %z : tensor<i1>, tensor<f32>\n tg.yield %y : tensor<f32>"),
                          Cpu);
    std::vector<float> X = randomFloats(A * B * C, -1, 1), Y(A * B * C);
    std::vector<uint8_t> M(C);
    M[1] = 1;
    // result [C, A, B] of x [A, B, C]; the mask is along C
    LaunchSpec Spec{{C, A, B}, {{0, {1, B * C, C}}, {0, {1, 0, 0}}, {0, {A * B, B, 1}}}, {}, 0};
    launch(Program.find("k"), {X.data(), M.data(), Y.data()}, Spec, A * B * C, {{Y.data(), Y.size() * 4}});
    for (int64_t I = 0; I < A; ++I)
      for (int64_t J = 0; J < B; ++J)
        for (int64_t K = 0; K < C; ++K)
          ASSERT_EQ(Y[(K * A + I) * B + J], X[(I * B + J) * C + K] * (M[K] ? 1 : -1));
  }
}

TEST(FlatKernel, CastsBetweenAllTypes) {
  struct Conversion {
    const char *From, *To;
  } Pairs[] = {{"f32", "i32"}, {"i32", "f32"}, {"f32", "i64"}, {"i64", "f32"}, {"ui8", "f32"}, {"i8", "f32"}, {"f32", "ui8"},
               {"i1", "f32"},  {"f32", "i1"},  {"i32", "i64"}, {"i64", "i32"}, {"f32", "f64"}, {"f64", "f32"}, {"i32", "i1"},
               {"i1", "i32"},  {"ui8", "i32"}, {"i8", "i64"}};
  auto Size = [](std::string T) { return T == "f32" || T == "i32" ? 4 : T == "f64" || T == "i64" ? 8 : 1; };
  auto Put = [](std::string T, void *At, double V) {
    if (T == "f32") *static_cast<float *>(At) = float(V);
    else if (T == "f64") *static_cast<double *>(At) = V;
    else if (T == "i32") *static_cast<int32_t *>(At) = int32_t(V);
    else if (T == "i64") *static_cast<int64_t *>(At) = int64_t(V);
    else if (T == "i8") *static_cast<int8_t *>(At) = int8_t(V);
    else if (T == "ui8") *static_cast<uint8_t *>(At) = uint8_t(V);
    else *static_cast<uint8_t *>(At) = V != 0;
  };
  auto Get = [](std::string T, const void *At) -> double {
    if (T == "f32") return *static_cast<const float *>(At);
    if (T == "f64") return *static_cast<const double *>(At);
    if (T == "i32") return *static_cast<const int32_t *>(At);
    if (T == "i64") return double(*static_cast<const int64_t *>(At));
    if (T == "i8") return *static_cast<const int8_t *>(At);
    return *static_cast<const uint8_t *>(At);
  };
  double Numbers[] = {0, 1, 2, 100, 127, 3.75, 50.5, 0, 77, -1, -3.5, -100, 1, 0.25, 9, 17, 42, 5, 6};
  constexpr int64_t N = std::size(Numbers);
  for (const std::string &Cpu : runnableCpus())
    for (auto [From, To] : Pairs) {
      std::string F = From, T = To;
      KernelProgram Program(kernelText("k", "flat", 1, "%x: tensor<" + F + ">", "#tg.param<scalar>", "#tg.result<scalar>",
                                       "%y = tg.cast %x : tensor<" + F + "> -> tensor<" + T + ">\n tg.yield %y : tensor<" + T + ">"),
                            Cpu);
      std::vector<char> X(N * 8), Y(N * 8), Want(8);
      for (int64_t I = 0; I < N; ++I)
        Put(F, &X[I * Size(F)], F[0] == 'u' || T[0] == 'u' ? std::fabs(Numbers[I]) : Numbers[I]);
      launch(Program.find("k"), {X.data(), Y.data()}, {{N}, {{0, {1}}, {0, {1}}}, {}, 0}, N, {{Y.data(), Y.size()}});
      for (int64_t I = 0; I < N; ++I) {
        Put(T, Want.data(), Get(F, &X[I * Size(F)]));
        ASSERT_EQ(Get(T, &Y[I * Size(T)]), Get(T, Want.data())) << F << " to " << T << " of " << Get(F, &X[I * Size(F)]) << " for " << Cpu;
      }
    }
}

TEST(FlatKernel, RunsWithoutOuterDimensions) {
  KernelProgram Program(kernelText("k", "flat", 1, "%x: tensor<f32>", "#tg.param<scalar>", "#tg.result<scalar>",
                                   "%y = tg.exp %x : tensor<f32>\n tg.yield %y : tensor<f32>"));
  std::vector<float> X = {0, 5}, Y = {7, 7};
  launch(Program.find("k"), {X.data(), Y.data()}, {{}, {{0, {}}, {0, {}}}, {}, 0}, 1, {{Y.data(), 8}});
  EXPECT_EQ(Y, (std::vector<float>{1, 7}));
}

} // namespace
