// SPDX-License-Identifier: Apache-2.0
//
// Matrix products of every form against three loops in double.
#include "runtime/device/cpu/Executor.h"
#include "runtime/device/cpu/Threads.h"
#include "runtime/program/Failure.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace vcc::runtime {
namespace {

struct Case {
  int64_t batch0 = 1, batch1 = 1, m = 1, n = 1, k = 1;
  int64_t a[4], b[4], c[4]; // strides: batch0, batch1, outer, inner
  bool accumulate = false, bias = false, addend = false, pack = false;
  int64_t activation = VCC_ACTIVATION_NONE;
};

double activate(int64_t kind, double x) {
  if (kind == VCC_ACTIVATION_GELU_ERF)
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  return kind == VCC_ACTIVATION_SILU ? x / (1 + std::exp(-x)) : x;
}

constexpr int64_t Room = 1 << 14; // elements per operand

/// Runs a case on random numbers and returns the largest error relative to the largest value.
double errorOf(const Case &c, int runs = 1) {
  int64_t ints[VCC_GEMM_INTS] = {c.batch0, c.batch1, c.m, c.n, c.k, c.a[0], c.a[1], c.a[2], c.a[3],
                                 c.b[0], c.b[1], c.b[2], c.b[3], c.c[0], c.c[1], c.c[2], c.c[3],
                                 c.accumulate, c.activation, c.pack};
  constexpr uint64_t Bytes = Room * 4;
  VccBuffer buffers[5] = {{VCC_REGION_ARENA, 4, 0},
                          {VCC_REGION_WEIGHTS, 4, 0},
                          {VCC_REGION_ARENA, 4, Bytes},
                          {c.bias ? uint32_t(VCC_REGION_WEIGHTS) : uint32_t(VCC_REGION_NONE), 4, Bytes},
                          {c.addend ? uint32_t(VCC_REGION_ARENA) : uint32_t(VCC_REGION_NONE), 4, 2 * Bytes}};
  VccLaunch launch{};
  launch.kind = VCC_LAUNCH_GEMM, launch.name = "test";
  launch.buffers = buffers, launch.buffer_count = 5, launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
  VccFunction function{"f", &launch, 1};
  VccStage stage{"s", &function, 1, 2 * Bytes, 0, 3 * Bytes, 0, nullptr, 0};
  Executor executor(stage, 2);
  auto floats = [&](VccRegion region, uint64_t offset) {
    return reinterpret_cast<float *>(executor.memory().at(region, offset));
  };
  float *a = floats(VCC_REGION_ARENA, 0), *b = floats(VCC_REGION_WEIGHTS, 0), *out = floats(VCC_REGION_ARENA, Bytes);
  float *bias = floats(VCC_REGION_WEIGHTS, Bytes), *addend = floats(VCC_REGION_ARENA, 2 * Bytes);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (float *operand : {a, b, out, bias, addend})
    for (int64_t i = 0; i < Room; ++i)
      operand[i] = normal(random);
  std::vector<double> expected(out, out + Room);
  double scale = 0;
  for (int run = 0; run < runs; ++run) {
    for (int64_t b0 = 0; b0 < c.batch0; ++b0)
      for (int64_t b1 = 0; b1 < c.batch1; ++b1)
        for (int64_t i = 0; i < c.m; ++i)
          for (int64_t j = 0; j < c.n; ++j) {
            double sum = 0;
            for (int64_t l = 0; l < c.k; ++l)
              sum += double(a[b0 * c.a[0] + b1 * c.a[1] + i * c.a[2] + l * c.a[3]]) *
                     b[b0 * c.b[0] + b1 * c.b[1] + l * c.b[2] + j * c.b[3]];
            int64_t at = b0 * c.c[0] + b1 * c.c[1] + i * c.c[2] + j * c.c[3];
            sum += (c.bias ? bias[j] : 0) + (c.addend ? addend[at] : 0) + (c.accumulate ? expected[at] : 0);
            expected[at] = activate(c.activation, sum);
            scale = std::max(scale, std::fabs(expected[at]));
          }
    executor.run(0);
  }
  double error = 0;
  for (int64_t i = 0; i < Room; ++i)
    error = std::max(error, std::fabs(expected[i] - out[i])); // elements outside C must not change
  return error / scale;
}

Case plain(int64_t m, int64_t n, int64_t k) {
  return {1, 1, m, n, k, {0, 0, k, 1}, {0, 0, n, 1}, {0, 0, n, 1}};
}

constexpr double Tolerance = 2e-6;

TEST(Gemm, Plain) {
  for (auto [m, n, k] : {std::tuple{1, 1, 1}, {1, 7, 5}, {7, 1, 5}, {5, 7, 1}, {33, 65, 17}, {128, 96, 64}})
    EXPECT_LT(errorOf(plain(m, n, k)), Tolerance) << m << "x" << n << "x" << k;
}

TEST(Gemm, Epilogues) {
  for (bool bias : {false, true})
    for (bool addend : {false, true})
      for (bool accumulate : {false, true})
        for (int64_t activation : {VCC_ACTIVATION_NONE, VCC_ACTIVATION_GELU_ERF, VCC_ACTIVATION_SILU}) {
          Case c = plain(20, 48, 31);
          c.bias = bias, c.addend = addend, c.accumulate = accumulate, c.activation = activation;
          EXPECT_LT(errorOf(c), Tolerance) << bias << addend << accumulate << activation;
        }
}

TEST(Gemm, Transposed) {
  Case c = plain(24, 40, 18);
  c.a[2] = 1, c.a[3] = 24;
  EXPECT_LT(errorOf(c), Tolerance);
  c.b[2] = 1, c.b[3] = 18;
  EXPECT_LT(errorOf(c), Tolerance);
  c.c[2] = 1, c.c[3] = 24; // result transposed too
  EXPECT_LT(errorOf(c), Tolerance);
  c.addend = c.accumulate = true;
  EXPECT_LT(errorOf(c), Tolerance);
  c.bias = true;
  EXPECT_LT(errorOf(c), Tolerance);
}

TEST(Gemm, SlicesAndOddStrides) {
  Case c = plain(16, 24, 12);
  c.a[2] = 50, c.b[2] = 70, c.c[2] = 90;
  EXPECT_LT(errorOf(c), Tolerance);
  c.bias = c.addend = c.accumulate = true;
  EXPECT_LT(errorOf(c), Tolerance);
  c.a[3] = 3, c.b[3] = 2, c.c[3] = 2; // no unit stride anywhere
  EXPECT_LT(errorOf(c), Tolerance);
}

TEST(Gemm, Batched) {
  Case c{3, 4, 10, 14, 6, {4 * 60, 60, 6, 1}, {4 * 84, 84, 14, 1}, {4 * 140, 140, 14, 1}};
  EXPECT_LT(errorOf(c), Tolerance);
  c.bias = c.addend = c.accumulate = true;
  EXPECT_LT(errorOf(c), Tolerance);
  // Heads inside rows: [batch, row, head, width].
  Case heads{3, 4, 10, 14, 6, {10 * 24, 6, 24, 1}, {14 * 24, 6, 1, 24}, {4 * 140, 140, 14, 1}};
  EXPECT_LT(errorOf(heads), Tolerance);
  // One right-hand side for all, foldable and not.
  Case shared{3, 4, 10, 14, 6, {240, 60, 6, 1}, {0, 0, 14, 1}, {560, 140, 14, 1}};
  EXPECT_LT(errorOf(shared), Tolerance);
  Case broadcast{3, 4, 10, 14, 6, {0, 60, 6, 1}, {84, 0, 14, 1}, {560, 140, 14, 1}};
  EXPECT_LT(errorOf(broadcast), Tolerance);
}

// Every second row of a batch of rows: what one batch reaches, counted by whole strides, is more than the next one's distance.
TEST(Gemm, BatchesBetweenEachOthersRows) {
  Case points{2, 9, 1, 1, 1, {9, 1, 1, 1}, {85, 10, 1, 1}, {9, 1, 1, 1}};
  EXPECT_LT(errorOf(points), Tolerance);
  Case rows{2, 9, 4, 3, 5, {180, 20, 5, 1}, {400, 45, 9, 2}, {108, 12, 3, 1}};
  rows.accumulate = rows.addend = rows.bias = true;
  EXPECT_LT(errorOf(rows), Tolerance);
}

TEST(Gemm, PackedWeights) {
  Case c = plain(64, 96, 80);
  c.pack = true, c.bias = true;
  EXPECT_LT(errorOf(c), Tolerance);
  c.b[2] = 1, c.b[3] = 80, c.accumulate = true;
  EXPECT_LT(errorOf(c, 3), 1e-5);
}

// The forward reads a frozen square matrix, the backward its transpose: two products, one weight, two packed copies.
TEST(Gemm, PackedSquareWeightAndItsTranspose) {
  constexpr int64_t N = 48;
  constexpr uint64_t Bytes = N * N * 4;
  int64_t straight[VCC_GEMM_INTS] = {1, 1, N, N, N, 0, 0, N, 1, 0, 0, N, 1, 0, 0, N, 1, 0, VCC_ACTIVATION_NONE, 1};
  int64_t transposed[VCC_GEMM_INTS] = {1, 1, N, N, N, 0, 0, N, 1, 0, 0, 1, N, 0, 0, N, 1, 0, VCC_ACTIVATION_NONE, 1};
  VccBuffer buffers[2][5] = {
      {{VCC_REGION_ARENA, 4, 0}, {VCC_REGION_WEIGHTS, 4, 0}, {VCC_REGION_ARENA, 4, Bytes}, {}, {}},
      {{VCC_REGION_ARENA, 4, 0}, {VCC_REGION_WEIGHTS, 4, 0}, {VCC_REGION_ARENA, 4, 2 * Bytes}, {}, {}}};
  VccLaunch launches[2] = {};
  for (int i : {0, 1}) {
    launches[i].kind = VCC_LAUNCH_GEMM, launches[i].name = "test";
    launches[i].buffers = buffers[i], launches[i].buffer_count = 5;
    launches[i].ints = i ? transposed : straight, launches[i].int_count = VCC_GEMM_INTS;
  }
  VccFunction function{"f", launches, 2};
  VccStage stage{"s", &function, 1, Bytes, 0, 3 * Bytes, 0, nullptr, 0};
  Executor executor(stage, 2);
  auto *a = reinterpret_cast<float *>(executor.memory().at(VCC_REGION_ARENA, 0));
  auto *w = reinterpret_cast<float *>(executor.memory().at(VCC_REGION_WEIGHTS, 0));
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < N * N; ++i)
    a[i] = normal(random), w[i] = normal(random);
  executor.run(0);
  for (int which : {0, 1})
    for (int64_t i = 0; i < N; ++i)
      for (int64_t j = 0; j < N; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < N; ++l)
          sum += double(a[i * N + l]) * (which ? w[j * N + l] : w[l * N + j]);
        EXPECT_NEAR(a[(which + 1) * N * N + i * N + j], sum, 1e-4) << (which ? "transposed" : "straight");
      }
}

// Sums over thousands of elements go to another routine of the library.
TEST(Gemm, LongSums) {
  for (bool accumulate : {false, true})
    for (auto [m, n, k] : {std::tuple{2, 2, 2048}, {5, 6, 2500}, {4, 3, 2049}, {6, 1, 2500}, {1, 6, 2500}}) {
      Case c = plain(m, n, k);
      c.accumulate = accumulate;
      EXPECT_LT(errorOf(c), 5e-6) << m << "x" << n << "x" << k;
      c.a[2] = 1, c.a[3] = m; // the left-hand side by columns
      EXPECT_LT(errorOf(c), 5e-6) << m << "x" << n << "x" << k;
      c.c[2] = n + 3; // a window of a wider result
      EXPECT_LT(errorOf(c), 5e-6) << m << "x" << n << "x" << k;
      c.bias = true; // back to the product with epilogues
      EXPECT_LT(errorOf(c), 5e-6) << m << "x" << n << "x" << k;
    }
}

TEST(Gemm, RefusesNonsense) {
  Case c = plain(4, 4, 4);
  c.m = 0;
  EXPECT_THROW(errorOf(c), Failure);
  c.m = 4, c.activation = 99;
  EXPECT_THROW(errorOf(c), Failure);
}

} // namespace
} // namespace vcc::runtime
