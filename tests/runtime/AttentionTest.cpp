// SPDX-License-Identifier: Apache-2.0
//
// What the runtime adds to attention's kernels: that all heads of all samples are given out once, to whatever number of threads, each
// with scratch of its own. The kernels here are written by hand; the generated ones are tested in tests/unit/codegen.
#include "runtime/device/cpu/Executor.h"
#include "runtime/program/Failure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace vcc::runtime {
namespace {

struct Sizes {
  int64_t b, sq, sk, h, g, d;
  bool causal, lengths, starts = false;
};

constexpr unsigned char Untouched = 0xa5;

/// One query's row of one launch, as the ABI lays it out; the kernels below are what the compiler generates, in plain loops.
struct Row {
  const int64_t *ints;
  const float *q, *k, *v;
  int64_t atQ, atLse, sample, keyHead, first = 0, seen;

  Row(void *const *buffers, const int64_t *ints, const int32_t *lengths, const int32_t *starts, int64_t b, int64_t h, int64_t i)
      : ints(ints), q(static_cast<float *>(buffers[0])), k(static_cast<float *>(buffers[1])), v(static_cast<float *>(buffers[2])), sample(b) {
    int64_t sq = ints[VCC_ATTENTION_SQ], sk = ints[VCC_ATTENTION_SK], heads = ints[VCC_ATTENTION_H];
    atQ = ((b * sq + i) * heads + h) * ints[VCC_ATTENTION_D], atLse = (b * heads + h) * sq + i;
    keyHead = h / (heads / ints[VCC_ATTENTION_G]);
    seen = lengths ? lengths[b] : sk;
    if (ints[VCC_ATTENTION_CAUSAL])
      seen = std::clamp<int64_t>(i + sk - sq + 1, 0, seen);
    if (starts)
      first = starts[b * sq + i];
  }
  int64_t atK(int64_t j) const {
    return ((sample * ints[VCC_ATTENTION_SK] + j) * ints[VCC_ATTENTION_G] + keyHead) * ints[VCC_ATTENTION_D];
  }
  double dot(const float *queries, const float *keys, int64_t j) const {
    double sum = 0;
    for (int64_t d = 0; d < ints[VCC_ATTENTION_D]; ++d)
      sum += double(queries[atQ + d]) * keys[atK(j) + d];
    return sum;
  }
  double scale() const { return std::bit_cast<float>(uint32_t(ints[VCC_ATTENTION_SCALE_BITS])); }
  double score(int64_t j) const { return dot(q, k, j) * scale(); }
};

void forwardKernel(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end) {
  int64_t rows = ints[VCC_ATTENTION_BLOCK_ROWS], sq = ints[VCC_ATTENTION_SQ], h = ints[VCC_ATTENTION_H], d = ints[VCC_ATTENTION_D];
  int64_t blocks = (sq + rows - 1) / rows;
  std::memset(buffers[7], 0, size_t(vcc_attention_scratch_bytes(rows, ints[VCC_ATTENTION_SK], d, 0)));
  for (int64_t unit = begin; unit < end; ++unit)
    for (int64_t i = unit % blocks * rows; i < std::min(sq, (unit % blocks + 1) * rows); ++i) {
      Row row(buffers, ints, static_cast<int32_t *>(buffers[5]), static_cast<int32_t *>(buffers[6]), unit / blocks / h, unit / blocks % h, i);
      auto *out = static_cast<float *>(buffers[3]) + row.atQ;
      std::vector<double> sums(size_t(d), 0.0);
      double sum = 0;
      for (int64_t j = row.first; j < row.seen; ++j) {
        double e = std::exp(row.score(j));
        sum += e;
        for (int64_t c = 0; c < d; ++c)
          sums[size_t(c)] += e * row.v[row.atK(j) + c];
      }
      for (int64_t c = 0; c < d; ++c)
        out[c] = sum == 0 ? 0 : float(sums[size_t(c)] / sum);
      static_cast<float *>(buffers[4])[row.atLse] = float(std::log(sum));
    }
}

void backwardKernel(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end) {
  int64_t sq = ints[VCC_ATTENTION_SQ], sk = ints[VCC_ATTENTION_SK], h = ints[VCC_ATTENTION_H], g = ints[VCC_ATTENTION_G], d = ints[VCC_ATTENTION_D];
  std::memset(buffers[11], 0, size_t(vcc_attention_scratch_bytes(ints[VCC_ATTENTION_BLOCK_ROWS], sk, d, 1)));
  auto *out = static_cast<float *>(buffers[3]), *dout = static_cast<float *>(buffers[5]);
  auto *dq = static_cast<float *>(buffers[6]), *dk = static_cast<float *>(buffers[7]), *dv = static_cast<float *>(buffers[8]);
  for (int64_t unit = begin; unit < end; ++unit) {
    for (int64_t j = 0; j < sk; ++j)
      for (float *to : {dk, dv})
        std::fill_n(to + ((unit / g * sk + j) * g + unit % g) * d, d, 0.0f);
    for (int64_t head = unit % g * (h / g); head < (unit % g + 1) * (h / g); ++head)
      for (int64_t i = 0; i < sq; ++i) {
        Row row(buffers, ints, static_cast<int32_t *>(buffers[9]), static_cast<int32_t *>(buffers[10]), unit / g, head, i);
        double delta = 0;
        for (int64_t c = 0; c < d; ++c)
          delta += double(out[row.atQ + c]) * dout[row.atQ + c];
        std::fill_n(dq + row.atQ, d, 0.0f);
        for (int64_t j = row.first; j < row.seen; ++j) {
          double p = std::exp(row.score(j) - static_cast<float *>(buffers[4])[row.atLse]);
          double ds = row.scale() * p * (row.dot(dout, row.v, j) - delta);
          for (int64_t c = 0; c < d; ++c) {
            dq[row.atQ + c] += float(ds * row.k[row.atK(j) + c]);
            dk[row.atK(j) + c] += float(ds * row.q[row.atQ + c]);
            dv[row.atK(j) + c] += float(p * dout[row.atQ + c]);
          }
        }
      }
  }
}

/// One attention with its gradient, in one stage.
struct Fixture {
  Sizes S;
  enum { Q, K, V, Out, Lse, DOut, DQ, DK, DV, Lengths, Starts, Work, Count };
  uint64_t Offset[Count], Bytes = 0;
  static constexpr int64_t Guard = 64; // floats behind the scratch
  VccBuffer Forward[8], Backward[12];
  int64_t Ints[VCC_ATTENTION_INTS];
  VccLaunch Launches[2] = {};
  VccFunction Function;
  VccStage Stage;
  std::unique_ptr<Executor> Device;

  Fixture(Sizes sizes, int64_t blockRows, int threads) : S(sizes) {
    int64_t q = S.b * S.sq * S.h * S.d, k = S.b * S.sk * S.g * S.d;
    int64_t perThread = vcc_attention_scratch_bytes(blockRows, S.sk, S.d, 1);
    int64_t sizesOf[Count] = {q, k, k, q, S.b * S.h * S.sq, q, q, k, k, S.b, S.b * S.sq, perThread * threads / 4 + Guard};
    for (int i = 0; i < Count; ++i) {
      Offset[i] = Bytes;
      Bytes += (uint64_t(sizesOf[i]) * 4 + 63) / 64 * 64;
    }
    auto buffer = [&](int i) {
      bool absent = (i == Lengths && !S.lengths) || (i == Starts && !S.starts);
      return VccBuffer{absent ? uint32_t(VCC_REGION_NONE) : uint32_t(VCC_REGION_ARENA), 4, Offset[i]};
    };
    int forward[] = {Q, K, V, Out, Lse, Lengths, Starts, Work};
    int backward[] = {Q, K, V, Out, Lse, DOut, DQ, DK, DV, Lengths, Starts, Work};
    for (int i = 0; i < 8; ++i)
      Forward[i] = buffer(forward[i]);
    for (int i = 0; i < 12; ++i)
      Backward[i] = buffer(backward[i]);
    float scale = 1 / std::sqrt(float(S.d));
    int64_t ints[] = {S.b, S.sq, S.sk, S.h, S.g, S.d, S.causal, int64_t(std::bit_cast<uint32_t>(scale)), blockRows, perThread, 4};
    std::copy(std::begin(ints), std::end(ints), Ints);
    Launches[0].kind = VCC_LAUNCH_ATTENTION, Launches[1].kind = VCC_LAUNCH_ATTENTION_GRAD;
    Launches[0].buffers = Forward, Launches[0].buffer_count = 8, Launches[0].kernel = forwardKernel;
    Launches[1].buffers = Backward, Launches[1].buffer_count = 12, Launches[1].kernel = backwardKernel;
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
    for (int64_t i = 0; i < S.b * S.sq; ++i)
      reinterpret_cast<int32_t *>(floats(Starts))[i] = int32_t(i % S.sq / 3 * 3);
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
        int64_t first = s.starts ? reinterpret_cast<int32_t *>(f.floats(Fixture::Starts))[b * s.sq + i] : 0;
        std::vector<double> p(size_t(s.sk), 0.0), dp(size_t(s.sk), 0.0);
        double sum = 0, delta = 0;
        for (int64_t j = first; j < seen; ++j) {
          double score = 0;
          for (int64_t d = 0; d < s.d; ++d)
            score += double(q[atQ + d]) * k[atK(j) + d];
          sum += p[size_t(j)] = std::exp(score * scale);
        }
        for (int64_t j = first; j < seen; ++j) {
          p[size_t(j)] /= sum;
          for (int64_t d = 0; d < s.d; ++d) {
            r.out[size_t(atQ + d)] += p[size_t(j)] * v[atK(j) + d];
            r.dv[size_t(atK(j) + d)] += p[size_t(j)] * dout[atQ + d];
            dp[size_t(j)] += double(dout[atQ + d]) * v[atK(j) + d];
          }
          delta += p[size_t(j)] * dp[size_t(j)];
        }
        for (int64_t j = first; j < seen; ++j)
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
                      Sizes{1, 1, 3, 1, 1, 5, false, false}, Sizes{2, 9, 4, 2, 1, 8, true, false}, Sizes{2, 9, 9, 4, 2, 8, true, true, true}}) {
    Fixture fixture(sizes, 4, 2);
    Reference reference = naive(fixture);
    expectNear(fixture.copy(Fixture::Out), reference.out, "out");
    expectNear(fixture.copy(Fixture::DQ), reference.dq, "dq");
    expectNear(fixture.copy(Fixture::DK), reference.dk, "dk");
    expectNear(fixture.copy(Fixture::DV), reference.dv, "dv");
  }
}

TEST(Attention, ThreadsDoNotChangeABit) {
  Sizes sizes{3, 33, 21, 4, 2, 16, true, true, true};
  Fixture one(sizes, 8, 1), three(sizes, 8, 3);
  for (int i : {Fixture::Out, Fixture::Lse, Fixture::DQ, Fixture::DK, Fixture::DV})
    EXPECT_EQ(one.copy(i), three.copy(i)) << i;
}

TEST(Attention, ScratchDoesNotGrowWithQueriesAndIsEachThreadsOwn) {
  // All behind what the ABI gives the launch stays as it was.
  for (int64_t queries : {2, 500})
    for (int threads : {1, 3}) {
      Fixture fixture(Sizes{2, queries, 16, 2, 1, 8, false, false}, 2, threads);
      int64_t given = fixture.Ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD] * threads, reserved = fixture.workspaceBytes();
      EXPECT_LE(given, threads * 2 * (8 + 8) * 16 * 4);
      ASSERT_GT(reserved, given);
      auto *work = reinterpret_cast<unsigned char *>(fixture.floats(Fixture::Work));
      std::fill(work, work + reserved, Untouched);
      fixture.Device->run(0);
      auto untouched = [](unsigned char byte) { return byte == Untouched; };
      EXPECT_FALSE(std::all_of(work + given - given / threads, work + given, untouched)) << "the last thread has no scratch";
      EXPECT_TRUE(std::all_of(work + given, work + reserved, untouched)) << queries << " queries wrote behind their scratch";
    }
}

TEST(Attention, ScratchThatIsTooSmallIsRefused) {
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
