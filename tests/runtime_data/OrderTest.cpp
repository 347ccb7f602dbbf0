// SPDX-License-Identifier: Apache-2.0
//
// The keyed permutation and the draws.
#include "runtime/data/batches/Permutation.h"
#include "tests/runtime_data/Scratch.h"

#include <set>

using namespace vcc::runtime::data;

namespace {

Permutation keyed(uint64_t count, uint64_t seed, uint64_t epoch = 0) {
  return Permutation(count, Draws(seed, Purpose::Order, epoch, count));
}

TEST(Order, everyNumberOnceAndBack) {
  for (uint64_t count : {1, 2, 3, 5, 16, 17, 100, 1000, 4097}) {
    Permutation order = keyed(count, 3);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t value = order.at(i);
      EXPECT_LT(value, count);
      EXPECT_EQ(order.inverse(value), i);
      seen.insert(value);
    }
    EXPECT_EQ(seen.size(), count);
  }
}

// Of six orders of three, all occur, each about as often: chi-square with 5 degrees of freedom, far
// below 25.
TEST(Order, keysGiveAllOrdersEvenly) {
  std::map<std::vector<uint64_t>, int> orders;
  const int rounds = 6000;
  for (int seed = 0; seed < rounds; ++seed) {
    Permutation order = keyed(3, seed);
    ++orders[{order.at(0), order.at(1), order.at(2)}];
  }
  ASSERT_EQ(orders.size(), 6u);
  double chi = 0;
  for (auto &[order, times] : orders)
    chi += (times - rounds / 6.0) * (times - rounds / 6.0) / (rounds / 6.0);
  EXPECT_LT(chi, 25);
}

// Neighbours in the order are not neighbours in the file, and epochs differ.
TEST(Order, looksRandom) {
  const uint64_t count = 10000;
  Permutation first = keyed(count, 0, 0), second = keyed(count, 0, 1);
  int near = 0, same = 0;
  for (uint64_t i = 0; i + 1 < count; ++i) {
    int64_t step = int64_t(first.at(i + 1)) - int64_t(first.at(i));
    near += std::abs(step) < 100;
    same += first.at(i) == second.at(i);
  }
  EXPECT_LT(near, 300); // 2 % are expected by chance
  EXPECT_LT(same, 12);
}

TEST(Order, drawsDependOnEveryPartOfTheirKey) {
  std::set<uint64_t> seen;
  for (uint64_t seed : {0, 1})
    for (Purpose purpose : {Purpose::Frames, Purpose::Crop})
      for (uint64_t step : {0, 1})
        for (uint64_t place : {0, 1})
          seen.insert(Draws(seed, purpose, step, place).next());
  EXPECT_EQ(seen.size(), 16u);
}

} // namespace
