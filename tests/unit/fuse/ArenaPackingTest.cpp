// SPDX-License-Identifier: Apache-2.0
//
// Places of buffers: none on another that lives at the same time, and little more room than what lives at once.
#include "compiler/schedule/ArenaPacking.h"
#include "tests/Seed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <vector>

using namespace vcc::schedule;

namespace {

constexpr int64_t Alignment = 64;

class ArenaPacking : public ::testing::Test {
protected:
  void SetUp() override {
    seed = vcc::test::chosenSeed();
    random.seed(seed);
  }

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

  /// Packs and checks that nothing overlaps; gives the room over what lives at once.
  double pack(std::vector<Lifetime> &buffers) {
    int64_t total = packArena(buffers, Alignment), live = largestLiveSum(buffers, Alignment);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const Lifetime &a = buffers[i];
      EXPECT_EQ(a.offset % Alignment, 0);
      EXPECT_LE(a.offset + a.size, total);
      for (size_t j = 0; j < i; ++j) {
        const Lifetime &b = buffers[j];
        bool together = a.first <= b.last && b.first <= a.last;
        bool apart = a.offset + a.size <= b.offset || b.offset + b.size <= a.offset;
        EXPECT_TRUE(!together || apart) << "seed " << seed << ", buffers " << i << " and " << j;
      }
    }
    EXPECT_GE(total, live);
    return static_cast<double>(total) / static_cast<double>(live);
  }

  uint64_t seed = 0;
  std::mt19937_64 random;
};

} // namespace

TEST_F(ArenaPacking, NoneLieOnEachOther) {
  for (int run = 0; run < 60; ++run) {
    std::vector<Lifetime> buffers(between(1, 200));
    int launches = between(1, 400);
    for (Lifetime &buffer : buffers) {
      int first = between(0, launches - 1);
      buffer = {between(1, 100000), first, std::min(launches - 1, first + between(0, between(0, 400))), 0};
    }
    pack(buffers);
  }
}

// A step: each layer keeps some buffers for its backward, and both ways make short ones.
TEST_F(ArenaPacking, StepsNeedWhatLivesAtOnce) {
  for (int layers : {1, 3, 12, 60}) {
    constexpr int Each = 12; // launches of a layer, each way
    int end = 2 * layers * Each;
    std::vector<Lifetime> buffers;
    for (int layer = 0; layer < layers; ++layer) {
      for (int kept = 0; kept < 4; ++kept)
        buffers.push_back({between(1, 4) * 4096, layer * Each + between(0, Each - 1), end - 1 - layer * Each - between(0, Each - 1), 0});
      for (int way : {layer * Each, end - (layer + 1) * Each})
        for (int place = 0; place + 1 < Each; ++place)
          buffers.push_back({between(1, 8) * 1024, way + place, way + place + 1, 0});
    }
    // Of one layer there are few buffers, and a gap that none fits into is much of it all.
    EXPECT_LE(pack(buffers), layers == 1 ? 1.5 : 1.10) << layers << " layers, seed " << seed;
  }
}

TEST_F(ArenaPacking, NothingNeedsNothing) {
  std::vector<Lifetime> none;
  EXPECT_EQ(packArena(none, Alignment), 0);
}
