// SPDX-License-Identifier: Apache-2.0
//
// Which micro-batches make up a step: every one once an epoch, the rest stepped or carried, any step known by itself.
#include "runtime/data/batches/StepOrder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

using namespace vcc::runtime::data;
using testing::ElementsAre;

namespace {

using Key = std::tuple<int, int64_t, int64_t>; // branch, epoch, index

std::vector<Key> keysOf(const StepPlan &plan) {
  std::vector<Key> keys;
  for (const MicroBatch &micro : plan.micros)
    keys.push_back({micro.branch, micro.epoch, micro.index});
  return keys;
}

using Shared = std::unique_ptr<StepOrder>;

Shared order(std::vector<int64_t> counts, int64_t k, Across across, bool carry, uint64_t seed = 5) {
  std::vector<StepOrder::Branch> branches;
  for (int64_t count : counts)
    branches.push_back({count, 2 * static_cast<int64_t>(branches.size() + 1)});
  return std::make_unique<StepOrder>(branches, StepRule{k, across, carry}, seed);
}

// In every mode each micro-batch of each epoch comes exactly once, epochs do not mix unless the rest is carried, and jumps
// change nothing. Under EveryModality the longer branches are cut to the shortest.
TEST(StepOrder, everyMicroBatchOnceAnEpoch) {
  for (auto counts : {std::vector<int64_t>{7}, {5, 8}, {3, 4, 11}, {6, 6}, {1, 9}})
    for (int64_t k : {1, 2, 3, 5})
      for (Across across : {Across::Mixed, Across::OneModality, Across::EveryModality})
        for (bool carry : {false, true}) {
          Shared tested = order(counts, k, across, carry);
          constexpr int64_t Epochs = 15; // a multiple of every k but 2
          int64_t steps = tested->stepAt(Epochs * 2);
          int64_t least = *std::min_element(counts.begin(), counts.end());
          std::map<Key, int> seen;
          for (int64_t step = 0; step < steps; ++step) {
            auto plan = tested->plan(step);
            ASSERT_FALSE(plan->micros.empty());
            int64_t places = 0;
            std::set<int> branches;
            for (const MicroBatch &micro : plan->micros) {
              EXPECT_EQ(micro.first, places);
              places += 2 * (micro.branch + 1);
              ++seen[{micro.branch, micro.epoch, micro.index}];
              branches.insert(micro.branch);
              if (!carry) {
                EXPECT_GE(step, tested->stepAt(double(micro.epoch)));
                EXPECT_LT(step, tested->stepAt(double(micro.epoch + 1)));
              }
            }
            EXPECT_EQ(plan->places, places);
            for (int64_t place = 0; place < places; ++place) {
              int64_t micro = plan->microOf(place);
              EXPECT_LE(plan->micros[size_t(micro)].first, place);
            }
            int64_t most = across == Across::EveryModality ? k * int64_t(counts.size()) : k;
            if (carry)
              EXPECT_EQ(int64_t(plan->micros.size()), most);
            EXPECT_LE(int64_t(plan->micros.size()), most);
            if (across == Across::OneModality)
              EXPECT_EQ(branches.size(), 1u);
            if (across == Across::EveryModality)
              EXPECT_EQ(branches.size(), counts.size());
          }
          for (const auto &[key, times] : seen)
            EXPECT_EQ(times, 1);
          for (int b = 0; b < int(counts.size()); ++b)
            for (int64_t epoch = 0; epoch < 2 * Epochs; ++epoch)
              for (int64_t i = 0; i < (across == Across::EveryModality ? least : counts[size_t(b)]); ++i)
                EXPECT_TRUE(seen.count({b, epoch, i})) << b << " " << epoch << " " << i << " k " << k << " carry " << carry;
          Shared again = order(counts, k, across, carry);
          for (int64_t step : {steps - 1, int64_t(0), steps / 2, steps / 3})
            EXPECT_EQ(keysOf(*again->plan(step)), keysOf(*tested->plan(step)));
        }
}

// The rest of an epoch: five micro-batches by two are three steps, the last of one; carried they are two steps and a half.
TEST(StepOrder, restIsSteppedOrCarried) {
  Shared stepped = order({5}, 2, Across::Mixed, false);
  EXPECT_EQ(stepped->stepAt(1), 3);
  EXPECT_EQ(stepped->stepAt(4), 12);
  EXPECT_THAT(keysOf(*stepped->plan(2)), ElementsAre(Key{0, 0, 4}));
  EXPECT_THAT(keysOf(*stepped->plan(3)), ElementsAre(Key{0, 1, 0}, Key{0, 1, 1}));
  Shared carried = order({5}, 2, Across::Mixed, true);
  EXPECT_EQ(carried->stepAt(1), 2);
  EXPECT_EQ(carried->stepAt(2), 5);
  EXPECT_THAT(keysOf(*carried->plan(2)), ElementsAre(Key{0, 0, 4}, Key{0, 1, 0}));
  // Runs of one branch: what three of a branch leave of runs of two waits for that branch's next epoch.
  Shared runs = order({3, 3}, 2, Across::OneModality, true);
  EXPECT_EQ(runs->stepAt(1), 2);
  EXPECT_EQ(runs->stepAt(2), 6);
}

TEST(StepOrder, shareOfAnEpoch) {
  Shared tested = order({10, 30}, 2, Across::Mixed, false);
  EXPECT_EQ(tested->stepAt(1), 20);
  EXPECT_EQ(tested->stepAt(0.5), 10);
  EXPECT_EQ(tested->stepAt(2.25), 45);
}

// Branches are mixed in proportion, another way every epoch and for every seed.
TEST(StepOrder, listsAreShuffled) {
  auto names = [](const Shared &tested, int64_t epoch) {
    std::vector<int> all;
    for (int64_t step = tested->stepAt(double(epoch)); step < tested->stepAt(double(epoch + 1)); ++step)
      for (const MicroBatch &micro : tested->plan(step)->micros)
        all.push_back(micro.branch);
    return all;
  };
  Shared first = order({20, 20}, 1, Across::Mixed, false, 1), second = order({20, 20}, 1, Across::Mixed, false, 2);
  EXPECT_EQ(names(first, 0), names(order({20, 20}, 1, Across::Mixed, false, 1), 0));
  EXPECT_NE(names(first, 0), names(first, 1));
  EXPECT_NE(names(first, 0), names(second, 0));
  auto list = names(first, 0);
  EXPECT_EQ(std::count(list.begin(), list.end(), 1), 20);
  EXPECT_NE(std::count(list.begin(), list.begin() + 20, 1), 0);
  EXPECT_NE(std::count(list.begin(), list.begin() + 20, 0), 0);
}

} // namespace
