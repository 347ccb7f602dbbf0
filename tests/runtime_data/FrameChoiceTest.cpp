// SPDX-License-Identifier: Apache-2.0
//
// Frame choice against numbers of the reference implementation.
#include "runtime/data/media/FrameChoice.h"
#include "runtime/program/Failure.h"
#include "tests/runtime_data/Scratch.h"

#include <gmock/gmock.h>
#include <set>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using testing::Each;
using testing::ElementsAre;

namespace {

std::vector<uint32_t> choose(uint32_t count, FrameMode mode, uint64_t key = 0, uint32_t want = 8) {
  return chooseFrames(count, want, mode, Draws(1, Purpose::Frames, key, 0));
}

TEST(FrameChoice, middleGolden) {
  EXPECT_THAT(choose(100, FrameMode::Middle), ElementsAre(5, 18, 30, 43, 55, 68, 80, 93));
  EXPECT_THAT(choose(10, FrameMode::Middle), ElementsAre(0, 1, 2, 3, 5, 6, 7, 8));
  EXPECT_THAT(choose(8, FrameMode::Middle), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(choose(5, FrameMode::Middle), ElementsAre(0, 1, 2, 3, 4, 4, 4, 4));
  EXPECT_THAT(choose(1, FrameMode::Middle), Each(0));
}

// Both ends of every segment are drawn, nothing outside.
TEST(FrameChoice, randomTakesBothEnds) {
  const uint32_t first[] = {0, 12, 25, 37, 50, 62, 75, 87},
                 last[] = {11, 24, 36, 49, 61, 74, 86, 99};
  std::vector<std::set<uint32_t>> seen(8);
  for (uint64_t key = 0; key < 600; ++key) {
    auto frames = choose(100, FrameMode::Random, key);
    for (int i = 0; i < 8; ++i)
      seen[i].insert(frames[i]);
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(*seen[i].begin(), first[i]);
    EXPECT_EQ(*seen[i].rbegin(), last[i]);
    EXPECT_EQ(seen[i].size(), last[i] - first[i] + 1);
  }
}

TEST(FrameChoice, exclusiveLeavesTheUpperEndOut) {
  std::vector<uint32_t> highest(8);
  for (uint64_t key = 0; key < 600; ++key) {
    auto frames = choose(100, FrameMode::RandomExclusive, key);
    for (int i = 0; i < 8; ++i)
      highest[i] = std::max(highest[i], frames[i]);
  }
  EXPECT_THAT(highest, ElementsAre(10, 23, 35, 48, 60, 73, 85, 98));
}

// With fewer than two frames a segment some segment has width one: any 8 of the frames, sorted,
// none twice.
TEST(FrameChoice, exclusiveFallsBackToAnyFrames) {
  std::set<uint32_t> firsts;
  for (uint64_t key = 0; key < 300; ++key) {
    auto frames = choose(12, FrameMode::RandomExclusive, key);
    EXPECT_EQ(std::set<uint32_t>(frames.begin(), frames.end()).size(), 8u);
    EXPECT_TRUE(std::is_sorted(frames.begin(), frames.end()));
    EXPECT_LT(frames.back(), 12u);
    firsts.insert(frames.front());
  }
  EXPECT_GE(firsts.size(), 3u);
}

TEST(FrameChoice, fewFramesAndStill) {
  EXPECT_THAT(choose(3, FrameMode::Random), ElementsAre(0, 1, 2, 2, 2, 2, 2, 2));
  EXPECT_THAT(choose(16, FrameMode::Still), Each(8));
  EXPECT_THAT(choose(1, FrameMode::Still), Each(0));
  EXPECT_THROW(frameMode("often"), Failure);
}

} // namespace
