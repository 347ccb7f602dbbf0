// SPDX-License-Identifier: Apache-2.0
//
// Attention and its gradient against naive double loops, with hand-written row kernels of the ABI's signature; and that
// neither block size nor threads change a bit.
#include "runtime/device/cpu/Executor.h"
#include "runtime/program/Failure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace vcc::runtime {
namespace {

template <typename T>
T *at(void *const *buffers, int i) {
  return static_cast<T *>(buffers[i]);
}
float scaleOf(const int64_t *ints, int at) { return std::bit_cast<float>(uint32_t(ints[at])); }

int64_t Keys = 0; // a generated kernel has its row length in its code

void softmaxRow(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end) {
  float scale = scaleOf(ints, 8);
  for (int64_t r = begin; r < end; ++r) {
    float *row = at<float>(buffers, 0) + ints[2] + r * ints[3];
    int32_t visible = at<int32_t>(buffers, 1)[ints[4] + r * ints[5]];
    float most = -INFINITY, sum = 0;
    for (int32_t j = 0; j < visible; ++j)
      most = std::max(most, row[j] * scale);
    for (int64_t j = 0; j < Keys; ++j)
      sum += row[j] = j < visible ? std::exp(row[j] * scale - most) : 0;
    for (int64_t j = 0; j < Keys; ++j)
      row[j] = visible ? row[j] / sum : 0;
    at<float>(buffers, 2)[ints[6] + r * ints[7]] = visible ? most + std::log(sum) : 0;
  }
}

void probabilityRow(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end) {
  float scale = scaleOf(ints, 8);
  for (int64_t r = begin; r < end; ++r) {
    float *row = at<float>(buffers, 0) + ints[2] + r * ints[3];
    int32_t visible = at<int32_t>(buffers, 1)[ints[4] + r * ints[5]];
    float lse = at<float>(buffers, 2)[ints[6] + r * ints[7]];
    for (int64_t j = 0; j < Keys; ++j)
      row[j] = j < visible ? std::exp(row[j] * scale - lse) : 0;
  }
}

void scoreGradRow(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end) {
  float scale = scaleOf(ints, 8);
  for (int64_t r = begin; r < end; ++r) {
    float *p = at<float>(buffers, 0) + ints[2] + r * ints[3], *dp = at<float>(buffers, 1) + ints[4] + r * ints[5];
    float delta = at<float>(buffers, 2)[ints[6] + r * ints[7]];
    for (int64_t j = 0; j < Keys; ++j)
      dp[j] = scale * p[j] * (dp[j] - delta);
  }
}

constexpr unsigned char Untouched = 0xa5;

int64_t Width = 0;

void deltaRow(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    float *out = at<float>(buffers, 0) + ints[2] + r * ints[3], *dout = at<float>(buffers, 1) + ints[4] + r * ints[5];
    float sum = 0;
    for (int64_t j = 0; j < Width; ++j)
      sum += out[j] * dout[j];
    at<float>(buffers, 2)[ints[6] + r * ints[7]] = sum;
  }
}

struct Sizes {
  int64_t b, sq, sk, h, g, d;
  bool causal, lengths;
};

/// One attention with its gradient, in one stage.
struct Fixture {
  Sizes S;
  enum { Q, K, V, Out, Lse, DOut, DQ, DK, DV, Lengths, Work, Count };
  uint64_t Offset[Count], Bytes = 0;
  VccBuffer Forward[7], Backward[11];
  int64_t Ints[VCC_ATTENTION_INTS];
  VccLaunch Launches[2] = {};
  VccFunction Function;
  VccStage Stage;
  std::unique_ptr<Executor> Device;

  Fixture(Sizes sizes, int64_t blockRows, int threads) : S(sizes) {
    Keys = S.sk, Width = S.d;
    int64_t q = S.b * S.sq * S.h * S.d, k = S.b * S.sk * S.g * S.d;
    int64_t perThread = blockRows * (2 * S.sk + 2) * 4 + 64;
    int64_t sizesOf[Count] = {q, k, k, q, S.b * S.h * S.sq, q, q, k, k, S.b, perThread};
    for (int i = 0; i < Count; ++i) {
      Offset[i] = Bytes;
      Bytes += (uint64_t(sizesOf[i]) * 4 + 63) / 64 * 64;
    }
    auto buffer = [&](int i) {
      bool absent = i == Lengths && !S.lengths;
      return VccBuffer{absent ? uint32_t(VCC_REGION_NONE) : uint32_t(VCC_REGION_ARENA), 4, Offset[i]};
    };
    int forward[] = {Q, K, V, Out, Lse, Lengths, Work};
    int backward[] = {Q, K, V, Out, Lse, DOut, DQ, DK, DV, Lengths, Work};
    for (int i = 0; i < 7; ++i)
      Forward[i] = buffer(forward[i]);
    for (int i = 0; i < 11; ++i)
      Backward[i] = buffer(backward[i]);
    float scale = 1 / std::sqrt(float(S.d));
    int64_t ints[] = {S.b, S.sq, S.sk, S.h, S.g, S.d, S.causal, int64_t(std::bit_cast<uint32_t>(scale)), blockRows, perThread, 4};
    std::copy(std::begin(ints), std::end(ints), Ints);
    Launches[0].kind = VCC_LAUNCH_ATTENTION, Launches[1].kind = VCC_LAUNCH_ATTENTION_GRAD;
    Launches[0].buffers = Forward, Launches[0].buffer_count = 7, Launches[0].kernel = softmaxRow;
    Launches[1].buffers = Backward, Launches[1].buffer_count = 11, Launches[1].kernel = probabilityRow;
    Launches[1].kernel2 = scoreGradRow, Launches[1].kernel3 = deltaRow;
    for (VccLaunch &launch : Launches)
      launch.ints = Ints, launch.int_count = VCC_ATTENTION_INTS;
    Function = {"f", Launches, 2};
    Stage = {"s", &Function, 1, 0, 0, Bytes, 0, nullptr, 0};
    Device = std::make_unique<Executor>(Stage, threads);
    std::mt19937 random(3);
    for (int i : {Q, K, V, DOut})
      for (int64_t j = 0; j < sizesOf[i]; ++j)
        floats(i)[j] = std::normal_distribution<float>()(random);
    for (int64_t i = 0; i < S.b; ++i)
      reinterpret_cast<int32_t *>(floats(Lengths))[i] = int32_t(1 + i * 5 % S.sk);
    Device->run(0);
  }

  float *floats(int i) { return reinterpret_cast<float *>(Device->memory().at(VCC_REGION_ARENA, Offset[i])); }
  int64_t elements(int i) {
    int64_t q = S.b * S.sq * S.h * S.d, k = S.b * S.sk * S.g * S.d;
    return i == K || i == V || i == DK || i == DV ? k : i == Lse ? S.b * S.h * S.sq : q;
  }
  /// Room of the workspace in the arena: more than the launch is told of.
  int64_t workspaceBytes() const { return int64_t(Bytes - Offset[Work]); }
  std::vector<float> copy(int i) { return {floats(i), floats(i) + elements(i)}; }
};

struct Reference {
  std::vector<double> out, dq, dk, dv;
};

Reference naive(Fixture &f) {
  const Sizes &s = f.S;
  Reference r{std::vector<double>(f.elements(Fixture::Q)), std::vector<double>(f.elements(Fixture::Q)),
              std::vector<double>(f.elements(Fixture::K)), std::vector<double>(f.elements(Fixture::K))};
  float *q = f.floats(Fixture::Q), *k = f.floats(Fixture::K), *v = f.floats(Fixture::V), *dout = f.floats(Fixture::DOut);
  auto *lengths = reinterpret_cast<int32_t *>(f.floats(Fixture::Lengths));
  double scale = 1 / std::sqrt(double(s.d));
  for (int64_t b = 0; b < s.b; ++b)
    for (int64_t h = 0; h < s.h; ++h)
      for (int64_t i = 0; i < s.sq; ++i) {
        int64_t g = h / (s.h / s.g), atQ = ((b * s.sq + i) * s.h + h) * s.d;
        auto atK = [&](int64_t j) { return ((b * s.sk + j) * s.g + g) * s.d; };
        int64_t seen = s.lengths ? lengths[b] : s.sk;
        if (s.causal)
          seen = std::max<int64_t>(0, std::min(seen, i + s.sk - s.sq + 1));
        std::vector<double> p(size_t(s.sk), 0.0), dp(size_t(s.sk), 0.0);
        double sum = 0, delta = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double score = 0;
          for (int64_t d = 0; d < s.d; ++d)
            score += double(q[atQ + d]) * k[atK(j) + d];
          sum += p[size_t(j)] = std::exp(score * scale);
        }
        for (int64_t j = 0; j < seen; ++j) {
          p[size_t(j)] /= sum;
          for (int64_t d = 0; d < s.d; ++d) {
            r.out[size_t(atQ + d)] += p[size_t(j)] * v[atK(j) + d];
            r.dv[size_t(atK(j) + d)] += p[size_t(j)] * dout[atQ + d];
            dp[size_t(j)] += double(dout[atQ + d]) * v[atK(j) + d];
          }
          delta += p[size_t(j)] * dp[size_t(j)];
        }
        for (int64_t j = 0; j < seen; ++j)
          for (int64_t d = 0; d < s.d; ++d) {
            double ds = scale * p[size_t(j)] * (dp[size_t(j)] - delta);
            r.dq[size_t(atQ + d)] += ds * k[atK(j) + d];
            r.dk[size_t(atK(j) + d)] += ds * q[atQ + d];
          }
      }
  return r;
}

void expectNear(const std::vector<float> &got, const std::vector<double> &expected, const char *what) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  EXPECT_LT(std::sqrt(difference), 2e-6 * std::sqrt(norm)) << what;
}

TEST(Attention, AgreesWithLoops) {
  for (Sizes sizes : {Sizes{2, 7, 7, 2, 2, 8, false, false}, Sizes{2, 9, 9, 4, 2, 8, true, false},
                      Sizes{3, 5, 11, 4, 1, 16, false, true}, Sizes{3, 6, 10, 2, 2, 4, true, true},
                      Sizes{1, 1, 3, 1, 1, 5, false, false}, Sizes{2, 9, 4, 2, 1, 8, true, false}}) {
    Fixture fixture(sizes, 4, 2);
    Reference reference = naive(fixture);
    expectNear(fixture.copy(Fixture::Out), reference.out, "out");
    expectNear(fixture.copy(Fixture::DQ), reference.dq, "dq");
    expectNear(fixture.copy(Fixture::DK), reference.dk, "dk");
    expectNear(fixture.copy(Fixture::DV), reference.dv, "dv");
  }
}

TEST(Attention, ThreadsDoNotChangeABit) {
  Sizes sizes{3, 33, 21, 4, 2, 16, true, true};
  Fixture one(sizes, 8, 1), three(sizes, 8, 3);
  for (int i : {Fixture::Out, Fixture::Lse, Fixture::DQ, Fixture::DK, Fixture::DV})
    EXPECT_EQ(one.copy(i), three.copy(i)) << i;
}

TEST(Attention, ScratchDoesNotGrowWithQueries) {
  // The workspace has room for two rows; all behind what the ABI gives the launch stays as it was.
  for (int64_t queries : {2, 500}) {
    Fixture fixture(Sizes{1, queries, 16, 1, 1, 8, false, false}, 2, 1);
    EXPECT_LE(fixture.Ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD], 2 * (2 * 16 + 2) * 4 + 64);
    auto *work = reinterpret_cast<unsigned char *>(fixture.floats(Fixture::Work));
    int64_t given = fixture.Ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD] / 64 * 64;
    int64_t reserved = fixture.workspaceBytes();
    ASSERT_GT(reserved, given);
    std::fill(work, work + reserved, Untouched);
    fixture.Device->run(0);
    EXPECT_FALSE(std::all_of(work, work + given, [](unsigned char byte) { return byte == Untouched; }));
    EXPECT_TRUE(std::all_of(work + given, work + reserved, [](unsigned char byte) { return byte == Untouched; }))
        << queries << " queries wrote behind their scratch";
    Reference reference = naive(fixture);
    expectNear(fixture.copy(Fixture::Out), reference.out, "out");
    expectNear(fixture.copy(Fixture::DK), reference.dk, "dk");
  }
}

TEST(Attention, ARowThatDoesNotFitItsScratchIsRefused) {
  Fixture fixture(Sizes{1, 4, 16, 1, 1, 8, false, false}, 2, 1);
  fixture.Ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD] = 64;
  Executor fresh(fixture.Stage, 1);
  try {
    fresh.run(0);
    FAIL() << "ran";
  } catch (const Failure &failure) {
    EXPECT_EQ(failure.code(), Exit::Internal);
    EXPECT_NE(std::string(failure.what()).find("64 bytes of scratch per thread"), std::string::npos) << failure.what();
  }
}

} // namespace
} // namespace vcc::runtime
