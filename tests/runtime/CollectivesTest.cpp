// SPDX-License-Identifier: Apache-2.0
//
// The collectives, run by every rank of `mpirun -n N` at once (tests/e2e/test_ranks.py): each result against its definition, computed
// alone from what every rank is known to have.
#include "runtime/collectives/mpi/Mpi.h"
#include "runtime/loop/Ranks.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

using namespace vcc::runtime;

namespace {

World *Ranks;

/// What rank `rank` has in a test, known to all: numbers of very different sizes, so that the order of a sum shows.
std::vector<float> numbersOf(int rank, int64_t count, uint32_t salt) {
  std::mt19937 source(salt * 977u + uint32_t(rank));
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float &number : numbers)
    number = (float(source()) / 4294967296.0f - 0.5f) * float(1u << (source() % 24));
  return numbers;
}

/// Ranks come late in turns: no result may depend on who is first.
void comeLate(int round) {
  if ((Ranks->rank() + round) % 2)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

} // namespace

TEST(Collectives, SumsAreMadeInTheOrderOfRanks) {
  for (int64_t count : {1, 2, 3, 7, 1000, (1 << 20) + 1, 3 * (1 << 20) + 5}) {
    auto salt = uint32_t(count);
    std::vector<float> wanted = numbersOf(0, count, salt);
    for (int rank = 1; rank < Ranks->size(); ++rank) {
      std::vector<float> theirs = numbersOf(rank, count, salt);
      for (size_t i = 0; i < wanted.size(); ++i)
        wanted[i] += theirs[i];
    }
    for (int round = 0; round < 2; ++round) {
      std::vector<float> mine = numbersOf(Ranks->rank(), count, salt);
      comeLate(round);
      Ranks->sum(mine.data(), count);
      EXPECT_TRUE(mine == wanted) << count;
    }
  }
  Ranks->sum(static_cast<float *>(nullptr), 0);
}

TEST(Collectives, PartsOfASum) {
  constexpr int64_t Count = 37;
  int64_t all = Count * Ranks->size();
  std::vector<float> mine = numbersOf(Ranks->rank(), all, 5), part(Count), wanted(Count);
  comeLate(0);
  Ranks->sumParts(mine.data(), part.data(), Count);
  for (int rank = 0; rank < Ranks->size(); ++rank) {
    std::vector<float> theirs = numbersOf(rank, all, 5);
    for (int64_t i = 0; i < Count; ++i) {
      float one = theirs[size_t(Ranks->rank() * Count + i)];
      wanted[size_t(i)] = rank ? wanted[size_t(i)] + one : one;
    }
  }
  EXPECT_EQ(part, wanted);
}

TEST(Collectives, GatheringAndExchanging) {
  std::vector<float> mine = numbersOf(Ranks->rank(), 11, 9), all(11 * size_t(Ranks->size())), wanted;
  comeLate(1);
  Ranks->gather(mine.data(), all.data(), mine.size() * sizeof(float));
  for (int rank = 0; rank < Ranks->size(); ++rank) {
    std::vector<float> theirs = numbersOf(rank, 11, 9);
    wanted.insert(wanted.end(), theirs.begin(), theirs.end());
  }
  EXPECT_EQ(all, wanted);
  std::vector<int> parts, received(size_t(Ranks->size()));
  for (int rank = 0; rank < Ranks->size(); ++rank)
    parts.push_back(100 * Ranks->rank() + rank);
  Ranks->exchange(parts.data(), received.data(), sizeof(int));
  for (int rank = 0; rank < Ranks->size(); ++rank)
    EXPECT_EQ(received[size_t(rank)], 100 * rank + Ranks->rank());
}

TEST(Collectives, NumbersAndTexts) {
  double wanted = 0;
  for (int rank = 0; rank < Ranks->size(); ++rank)
    wanted += rank * 1e-3 + 1;
  EXPECT_EQ(Ranks->sum(Ranks->rank() * 1e-3 + 1), wanted);
  // Texts of any length, none included.
  std::vector<std::string> texts = Ranks->gather(std::string(size_t(Ranks->rank()) * 1000, char('a' + Ranks->rank())));
  ASSERT_EQ(texts.size(), size_t(Ranks->size()));
  for (int rank = 0; rank < Ranks->size(); ++rank)
    EXPECT_EQ(texts[size_t(rank)], std::string(size_t(rank) * 1000, char('a' + rank)));
  EXPECT_EQ(Ranks->gather(std::string()), std::vector<std::string>(size_t(Ranks->size())));
  EXPECT_EQ(Ranks->broadcast(Ranks->isFirst() ? "of the first" : "another's, and longer"), "of the first");
  EXPECT_EQ(Ranks->broadcast(Ranks->isFirst() ? "" : "x"), "");
}

TEST(Collectives, ReportsOfAStep) {
  int ranks = Ranks->size();
  report::StepReport report;
  report.samples = 3, report.tokens = Ranks->rank();
  report.values = {{"loss", 2}, {"length", double(Ranks->rank())}};
  report.dataWait = (Ranks->rank() + 1) % ranks; // the longest is not the last rank's
  joinReports(*Ranks, report);
  EXPECT_EQ(report.samples, 3 * ranks);
  EXPECT_EQ(report.tokens, ranks * (ranks - 1) / 2);
  EXPECT_EQ(report.values[0].second, 2 * ranks);
  EXPECT_NEAR(report.values[1].second, (ranks - 1) / 2.0, 1e-12);
  EXPECT_EQ(report.dataWait, ranks - 1);
  // What a launch made, others found further on.
  EXPECT_EQ(earliestOf(*Ranks, {uint64_t(ranks - Ranks->rank()), std::string(1, char('a' + Ranks->rank()))}),
            std::string(1, char('a' + ranks - 1)));
  EXPECT_EQ(earliestOf(*Ranks, {}), "");
  EXPECT_GE(usableThreads(*Ranks), 1);
}

TEST(Collectives, NobodyPassesABarrierBeforeAllAreThere) {
  using Clock = std::chrono::steady_clock;
  if (Ranks->rank() == Ranks->size() - 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  int64_t came = Clock::now().time_since_epoch().count();
  Ranks->barrier();
  int64_t left = Clock::now().time_since_epoch().count();
  std::vector<int64_t> all(size_t(Ranks->size()));
  Ranks->gather(&came, all.data(), sizeof came);
  for (int64_t other : all)
    EXPECT_LE(other, left);
}

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  std::unique_ptr<World> world = makeMpiWorld();
  Ranks = world.get();
  std::printf("rank %d of %d\n", world->rank(), world->size());
  return RUN_ALL_TESTS();
}
