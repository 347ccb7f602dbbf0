// SPDX-License-Identifier: Apache-2.0
//
// Ranks over sockets: what each gets of the others, who ends whom, and what launchers say.
#include "runtime/collectives/tcp/Socket.h"
#include "runtime/collectives/tcp/Tcp.h"
#include "tests/runtime/Told.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcc::runtime {
namespace {

using test::told;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

/// Below the ports that are given by chance; another one for each time, so that only a program that wants this very one is in the way.
Meeting nextMeeting() {
  static int Count = 0;
  for (;;) {
    Meeting meeting{"127.0.0.1", 20000 + (getpid() * 17 + ++Count * 211) % 12000};
    if (told([&] { Socket::listening(meeting.host, meeting.port); }) == "nothing")
      return meeting;
  }
}

/// What each rank of `count` gives, all as threads of this process.
std::vector<std::string> byAll(int count, const std::function<void(World &)> &act) {
  Meeting meeting = nextMeeting();
  std::vector<std::string> outcomes(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] { outcomes[size_t(rank)] = told([&] { act(*makeTcpWorld({true, false, rank, count, rank}, meeting, 30)); }); });
  for (std::thread &thread : threads)
    thread.join();
  return outcomes;
}

TEST(TcpWorld, JoinsWhatRanksHave) {
  for (int count : {1, 2, 5}) {
    std::mutex mutex;
    auto outcomes = byAll(count, [&](World &world) {
      std::vector<int> all(static_cast<size_t>(count));
      int mine = 100 + world.rank();
      world.gather(&mine, all.data(), sizeof mine);
      std::vector<int> parts(all.size()), received(all.size());
      for (int to = 0; to < count; ++to)
        parts[size_t(to)] = 10 * world.rank() + to;
      world.exchange(parts.data(), received.data(), sizeof(int));
      int first = world.rank() == 0 ? 77 : 0;
      world.broadcast(&first, sizeof first);
      world.barrier();
      std::vector<float> values(1000, float(world.rank() + 1));
      world.sum(values.data(), int64_t(values.size()));
      std::vector<std::string> texts = world.gather(std::string(size_t(world.rank()), 'x'));
      std::lock_guard lock(mutex);
      EXPECT_EQ(world.size(), count);
      EXPECT_TRUE(world.isJoined());
      EXPECT_EQ(first, 77);
      for (int rank = 0; rank < count; ++rank) {
        EXPECT_EQ(all[size_t(rank)], 100 + rank);
        EXPECT_EQ(received[size_t(rank)], 10 * rank + world.rank());
        EXPECT_EQ(texts[size_t(rank)].size(), size_t(rank));
      }
      EXPECT_THAT(values, Each(float(count * (count + 1) / 2)));
    });
    EXPECT_THAT(outcomes, Each("nothing"));
  }
}

TEST(TcpWorld, SaysWhoHasNotCome) {
  Meeting meeting = nextMeeting();
  testing::internal::CaptureStderr();
  EXPECT_THAT(told([&] { makeTcpWorld({true, false, 0, 3, 0}, meeting, 1); }), HasSubstr("6 of 3 ranks these have not come to `127.0.0.1` port"));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("for those of 3 ranks that have not come yet: 1, 2"));
  EXPECT_THAT(told([&] { makeTcpWorld({true, false, 1, 3, 1}, meeting, 1); }), HasSubstr("6 rank 0 cannot be reached at `127.0.0.1` port"));
}

TEST(TcpWorld, LetsStrangersStandAtTheDoor) {
  Meeting meeting = nextMeeting();
  std::string first, second;
  std::thread zero([&] { first = told([&] { makeTcpWorld({true, false, 0, 2, 0}, meeting, 30)->barrier(); }); });
  std::string reason;
  Socket stranger;
  while (!stranger)
    stranger = Socket::connected(meeting.host, meeting.port, reason);
  char words[64] = "GET / HTTP/1.1";
  stranger.send(words, sizeof words);
  std::thread one([&] { second = told([&] { makeTcpWorld({true, false, 1, 2, 1}, meeting, 30)->barrier(); }); });
  zero.join(), one.join();
  EXPECT_THAT((std::vector{first, second}), Each("nothing"));
}

TEST(TcpWorld, RefusesRanksOfAnotherRun) {
  Meeting meeting = nextMeeting();
  std::string first;
  std::thread zero([&] { first = told([&] { makeTcpWorld({true, false, 0, 2, 0}, meeting, 30); }); });
  // Which of its connections rank 0 was still there for is a matter of time.
  EXPECT_THAT(told([&] { makeTcpWorld({true, false, 2, 3, 2}, meeting, 1); }),
              testing::AnyOf(HasSubstr("rank 0 ended before all ranks were there"), HasSubstr("rank 0 cannot be reached")));
  zero.join();
  EXPECT_THAT(first, HasSubstr("1 a rank 2 of 3 came to rank 0 of 2"));
}

/// Exit codes of processes that are ranks; `act` may end one as it likes, else it waits for something that never comes.
std::vector<int> endsOf(int count, const std::function<void(World &)> &act) {
  Meeting meeting = nextMeeting();
  std::vector<pid_t> children;
  for (int rank = 0; rank < count; ++rank) {
    children.push_back(fork());
    if (children.back() == 0) {
      int none = open("/dev/null", O_WRONLY);
      dup2(none, 2);
      auto world = makeTcpWorld({true, false, rank, count, rank}, meeting, 30);
      act(*world);
      std::this_thread::sleep_for(std::chrono::seconds(60)); // as in a wait for a GPU
      _exit(99);
    }
  }
  std::vector<int> codes;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }
  return codes;
}

TEST(TcpWorld, OneEndsAll) {
  for (int who : {0, 1, 2}) {
    EXPECT_THAT(endsOf(3, [&](World &world) {
                  if (world.rank() == who)
                    world.abort(5);
                }),
                ElementsAre(5, 5, 5));
    auto codes = endsOf(3, [&](World &world) {
      if (world.rank() == who)
        _exit(42); // without a farewell
    });
    for (int rank = 0; rank < 3; ++rank)
      EXPECT_EQ(codes[size_t(rank)], rank == who ? 42 : 6) << "rank " << rank << " of those whom rank " << who << " left";
  }
}

/// Variables of launchers, and none but these.
class Environment : public testing::Test {
protected:
  static constexpr const char *Names[] = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMI_RANK",
                                          "PMI_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST", "SLURM_JOB_ID",
                                          "SLURM_STEP_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
                                          "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "TORCHELASTIC_RUN_ID"};
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const char *name : Names)
      unsetenv(name);
  }
  static void set(std::initializer_list<std::pair<const char *, const char *>> variables) {
    clear();
    for (auto [name, value] : variables)
      setenv(name, value, 1);
  }
};

TEST_F(Environment, TellsRanks) {
  auto is = [](bool byLauncher, bool byMpi, int rank, int size, int local) {
    Launched found = launchedRanks();
    EXPECT_EQ(found.byLauncher, byLauncher);
    EXPECT_EQ(found.byMpi, byMpi);
    EXPECT_THAT((std::vector{found.rank, found.size, found.local}), ElementsAre(rank, size, local));
  };
  is(false, false, 0, 1, 0);
  set({{"RANK", "5"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}});
  is(true, false, 5, 8, 1);
  set({{"SLURM_PROCID", "3"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_LOCALID", "1"}});
  is(true, false, 3, 4, 1);
  set({{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}}); // a batch script
  is(false, false, 0, 1, 0);
  set({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "2"}, {"RANK", "0"}, {"WORLD_SIZE", "1"}});
  is(true, true, 2, 3, 2);
  set({{"RANK", "8"}, {"WORLD_SIZE", "8"}});
  EXPECT_THAT(told([] { launchedRanks(); }), HasSubstr("RANK is 8, but WORLD_SIZE is 8"));
  set({{"RANK", "1"}});
  EXPECT_THAT(told([] { launchedRanks(); }), HasSubstr("RANK is 1, but WORLD_SIZE is not set"));
  set({{"WORLD_SIZE", "4"}, {"RANK", "first"}});
  EXPECT_THAT(told([] { launchedRanks(); }), HasSubstr("WORLD_SIZE is 4, but RANK is no number"));
  set({{"RANK", "0"}}); // nobody else is meant
  is(false, false, 0, 1, 0);
  set({{"WORLD_SIZE", "1"}});
  is(false, false, 0, 1, 0);
}

TEST_F(Environment, TellsWhereRanksMeet) {
  set({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "head"}, {"MASTER_PORT", "1234"}});
  EXPECT_EQ(meetingPlace().host, "head");
  EXPECT_EQ(meetingPlace().port, 1234);
  setenv("TORCHELASTIC_RUN_ID", "none", 1);
  EXPECT_EQ(meetingPlace().port, 1235);
  set({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_STEP_NODELIST", "gpu[07-09]"}, {"SLURM_JOB_ID", "55"}, {"SLURM_STEP_ID", "0"}});
  Meeting mine = meetingPlace();
  EXPECT_EQ(mine.host, "gpu07");
  EXPECT_TRUE(mine.port >= 20000 && mine.port < 32000);
  setenv("SLURM_PROCID", "0", 1);
  EXPECT_EQ(meetingPlace().port, mine.port);
  setenv("SLURM_STEP_ID", "1", 1);
  EXPECT_NE(meetingPlace().port, mine.port);
  set({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(meetingPlace().host, "127.0.0.1");
  setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "1", 1);
  EXPECT_THAT(told([] { meetingPlace(); }), HasSubstr("1 nothing says which machine rank 0 runs on"));
  setenv("MASTER_ADDR", "head", 1);
  EXPECT_THAT(told([] { meetingPlace(); }), HasSubstr("1 MASTER_ADDR says where the ranks meet, but nothing at which port"));
}

TEST_F(Environment, NamesTheFirstNode) {
  for (auto [list, first] : {std::pair("gpu07", "gpu07"), std::pair("a,b", "a"), std::pair("gpu[03-07,9],x", "gpu03"), std::pair("gpu[4,6]", "gpu4"),
                             std::pair("n[12]", "n12"), std::pair("", "")})
    EXPECT_EQ(firstOfNodes(list), first);
}

} // namespace
} // namespace vcc::runtime
