// SPDX-License-Identifier: Apache-2.0
//
// Several ranks on GPUs: buckets, when they are sent, what is asked of NCCL in which order, and a program trained by two processes that
// each have a GPU that records.
#include "runtime/collectives/tcp/Tcp.h"
#include "runtime/device/cuda/StageOnGpu.h"
#include "runtime/loop/Main.h"
#include "runtime/program/Failure.h"
#include "tests/Seed.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime/Told.h"
#include "tests/runtime_cuda/GpuToy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <future>
#include <random>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vcc::runtime::cuda {
namespace {

using test::readFile;
using test::Scratch;
using test::told;
using testing::ElementsAre;
using testing::HasSubstr;

/// Ranks of which every other holds what this one does.
class Twins final : public World {
public:
  explicit Twins(int count, int rank = 0) : Count(count), Rank(rank) {}
  int rank() const override { return Rank; }
  int size() const override { return Count; }
  void gather(const void *mine, void *all, size_t bytes) override {
    for (int rank = 0; rank < Count; ++rank)
      std::memcpy(static_cast<char *>(all) + size_t(rank) * bytes, mine, bytes);
  }
  void exchange(const void *, void *, size_t) override { throw Failure(Exit::Internal, "what goes over the host is no gradient"); }
  void broadcast(void *data, size_t bytes) override {
    if (Rank)
      std::memset(data, 7, bytes); // the id that rank 0 made
  }
  void barrier() override {}
  [[noreturn]] void abort(int code) override { throw code; }

private:
  int Count, Rank;
};

constexpr VccRegion S = VCC_REGION_STATE;

TEST(Buckets, HoldEachElementOnceFromTheLastToTheFirst) {
  std::mt19937 random(vcc::test::chosenSeed());
  auto upTo = [&](uint64_t most) { return std::uniform_int_distribution<uint64_t>(1, most)(random) * 4; };
  for (int round = 0; round < 200; ++round) {
    std::vector<GradientSpan> spans;
    for (uint64_t at = 0, i = 0; i < 8; ++i) {
      at += upTo(30);
      spans.push_back({S, at, at + upTo(60)});
      at = spans.back().end;
    }
    uint64_t most = upTo(50), next = UINT64_MAX, sum = 0, wanted = 0;
    std::vector<Bucket> buckets = bucketsOf(spans, most);
    for (size_t i = 0; i < buckets.size(); ++i) {
      uint64_t bytes = 0;
      for (const GradientSpan &part : buckets[i]) {
        ASSERT_LE(part.end, next);
        ASSERT_LT(part.begin, part.end);
        ASSERT_EQ(part.begin % 4, 0u);
        ASSERT_TRUE(std::any_of(spans.begin(), spans.end(), [&](const GradientSpan &span) { return span.begin <= part.begin && part.end <= span.end; }));
        bytes += part.end - part.begin, next = part.begin;
      }
      ASSERT_TRUE(bytes == most || (i + 1 == buckets.size() && bytes <= most));
      sum += bytes;
    }
    for (const GradientSpan &span : spans)
      wanted += span.end - span.begin;
    ASSERT_EQ(sum, wanted);
  }
}

TEST(Buckets, AreSentWhenNothingTouchesThemAnyMore) {
  // A group of three weights of 16 bytes; the backward makes the last one first.
  std::vector<GradientSpan> spans = {{S, 0, 48}, {S, 0, 16}, {S, 16, 32}, {S, 32, 48}};
  std::vector<Bucket> buckets = bucketsOf(outermost(spans), 16);
  ASSERT_EQ(buckets.size(), 3u);
  EXPECT_THAT(buckets[0], ElementsAre(GradientSpan{S, 32, 48}));
  auto after = [&](std::vector<std::pair<VccBuffer, uint64_t>> made) {
    std::vector<VccLaunch> launches(made.size());
    for (size_t i = 0; i < made.size(); ++i)
      launches[i].buffers = &made[i].first, launches[i].buffer_count = 1, launches[i].bytes = made[i].second;
    VccFunction function{"micro", launches.data(), launches.size()};
    return sendAfter(function, buckets, spans);
  };
  EXPECT_THAT(after({{{S, 4, 32}, 16}, {{S, 4, 16}, 16}, {{S, 4, 0}, 16}}), ElementsAre(1, 2, 3));
  // Another order waits for the bucket before; what is not touched at all goes at once.
  EXPECT_THAT(after({{{S, 4, 0}, 16}, {{S, 4, 32}, 16}}), ElementsAre(2, 2, 2));
  EXPECT_THAT(after({{{VCC_REGION_ARENA, 4, 0}, 16}, {{S, 4, 0}, 4}}), ElementsAre(0, 0, 2));
  // More bytes than the weight has may reach into its neighbours; of unknown ones all of the group.
  EXPECT_THAT(after({{{S, 4, 16}, 32}, {{S, 4, 0}, 20}}), ElementsAre(1, 2, 2));
  EXPECT_THAT(after({{{S, 4, 0}, 0}}), ElementsAre(1, 1, 1));
  EXPECT_THAT(after({}), ElementsAre(0, 0, 0));
}

/// Everything to join ranks but the program.
struct Joined {
  explicit Joined(int count, int rank = 0) : world(count, rank) {
    stage.name = "ranks", stage.state_bytes = stage.arena_bytes = 4096;
  }
  FakeGpu gpu;
  Twins world;
  VccStage stage{};
};

TEST(GpuRanks, SendEachBucketBehindItsLaunches) {
  Joined on(2);
  Gpu device(on.gpu.driver());
  Regions regions(device, on.stage);
  GpuRanks ranks(on.gpu.collectives(), device, on.world);
  manifest::Stage stage;
  for (int64_t i : {0, 1}) {
    manifest::State state;
    state.path = "w" + std::to_string(i), state.bytes = 64;
    state.gradient = manifest::Place{S, 64 * i};
    stage.states.push_back(state);
  }
  GradientSums sums(stage, regions, ranks);
  ASSERT_EQ(sums.buckets(), 1u);
  VccBuffer buffer{S, 4, 0};
  VccLaunch launches[2] = {};
  launches[0].buffers = &buffer, launches[0].buffer_count = 1;
  VccFunction function{"micro", launches, 2};
  auto asked = [&](uint64_t count) {
    size_t before = on.gpu.calls.size();
    sums.launched(function, count);
    return std::vector<std::string>(on.gpu.calls.begin() + std::ptrdiff_t(before), on.gpu.calls.end());
  };
  EXPECT_THAT(asked(0), ElementsAre());
  EXPECT_THAT(asked(1), ElementsAre("recordEvent", "waitEvent", "collective_beginGroup", "collective_sum", "collective_sum", "collective_endGroup"));
  EXPECT_THAT(asked(2), ElementsAre("recordEvent", "waitEvent"));
  ASSERT_EQ(on.gpu.summed.size(), 1u);
  EXPECT_THAT(on.gpu.summed[0], ElementsAre(std::pair(regions.at(S, 64), size_t(16)), std::pair(regions.at(S, 0), size_t(16))));
}

TEST(GpuRanks, GatherAndAddParts) {
  for (bool eager : {false, true}) {
    Joined on(3, 1);
    on.gpu.eager[2] = eager;
    Gpu device(on.gpu.driver());
    Regions regions(device, on.stage);
    GpuRanks ranks(on.gpu.collectives(), device, on.world);
    VccBuffer buffers[] = {{VCC_REGION_ARENA, 4, 1024}, {VCC_REGION_ARENA, 4, 0}};
    auto run = [&](uint32_t kind, int64_t count, int64_t bytes, float value) {
      int64_t ints[] = {count, bytes};
      VccLaunch launch{};
      launch.kind = kind, launch.name = "joins", launch.buffers = buffers, launch.buffer_count = 2, launch.ints = ints, launch.int_count = 2;
      return told([&] {
        auto ready = makeBetweenRanks(launch, device, regions, &ranks);
        // Behind what the stream of computations was given before, and before what comes after.
        std::vector<float> values(24, value);
        device.check(on.gpu.driver().copyToDevice(regions.at(VCC_REGION_ARENA, 0), values.data(), 96, device.compute()), "fill");
        ready->enqueue(device.compute());
        device.check(on.gpu.driver().copyOnDevice(regions.at(VCC_REGION_ARENA, 2048), regions.at(VCC_REGION_ARENA, 1024), 96, device.compute()), "copy");
        device.check(on.gpu.driver().synchronizeStream(device.compute()), "run");
      });
    };
    auto *made = reinterpret_cast<const float *>(regions.at(VCC_REGION_ARENA, 2048));
    EXPECT_EQ(run(VCC_LAUNCH_GATHER, 3, 32, 5.0f), "nothing");
    for (int i = 0; i < 24; ++i)
      EXPECT_EQ(made[i], 5.0f) << i;
    EXPECT_EQ(run(VCC_LAUNCH_REDUCE_SCATTER, 3, 32, 2.0f), "nothing");
    for (int i = 0; i < 8; ++i)
      EXPECT_EQ(made[i], 6.0f) << i;
    EXPECT_THAT(run(VCC_LAUNCH_GATHER, 2, 32, 1.0f), HasSubstr("70 launch `joins` joins 2 ranks, but 3 run"));
    EXPECT_THAT(run(VCC_LAUNCH_REDUCE_SCATTER, 3, 30, 1.0f), HasSubstr("adds up 30 bytes, which are no floats"));
    EXPECT_THAT(run(VCC_LAUNCH_GATHER, 3, 2048, 1.0f), HasSubstr("beyond the end of its region"));
  }
}

TEST(GpuRanks, SayWhatNcclLacks) {
  Joined on(2);
  Gpu device(on.gpu.driver());
  on.gpu.collectiveVersion = 21700;
  EXPECT_THAT(told([&] { GpuRanks(on.gpu.collectives(), device, on.world); }), HasSubstr("6 NCCL is 2.17.0, but 2.18.0 is needed at least"));
  on.gpu.collectiveVersion = 21800;
  EXPECT_EQ(told([&] { GpuRanks(on.gpu.collectives(), device, on.world); }), "nothing");
  CollectiveApi api = on.gpu.collectives();
  for (auto [result, code] : {std::pair(CollectiveCudaError, "6 "), std::pair(CollectiveSystemError, "6 "), std::pair(CollectiveInvalidUsage, "6 "),
                              std::pair(CollectiveRemoteError, "6 "), std::pair(CollectiveInternalError, "70 "), std::pair(CollectiveInvalidArgument, "70 ")}) {
    static CollectiveResult given;
    given = result;
    api.fault = [](Communicator, CollectiveResult *fault) { return *fault = given, CollectiveSuccess; };
    GpuRanks ranks(api, device, on.world);
    std::string text = told([&] { ranks.check(); });
    EXPECT_THAT(text, testing::StartsWith(code)) << result;
    EXPECT_THAT(text, HasSubstr("NCCL could not join the ranks: made to fail, by the fake"));
  }
}

struct Outcome {
  int code = -1;
  std::string text, errors;
};

std::vector<std::string> fit(const Scratch &out, std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"--stage", "fit", "--out", out.root(), "--weights", out.root(), "--threads", "1", "--seed", "17"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

MakeDevice on(FakeGpu &gpu) {
  test::teach(gpu);
  return onGpu(test::gpuToy().code, {[&]() -> const DriverApi & { return gpu.driver(); }, [&](const std::string &) -> const ProductApi & { return gpu.products(); },
                                     [&](const std::string &) -> const CollectiveApi & { return gpu.collectives(); }});
}

Outcome train(const std::vector<std::string> &arguments, const VccProgram &program, const MakeDevice &device, const MakeWorld &world) {
  Outcome outcome;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  outcome.code = runProgram(arguments, program, test::toySources(), world, device);
  outcome.text = testing::internal::GetCapturedStdout();
  outcome.errors = testing::internal::GetCapturedStderr();
  return outcome;
}

/// Rank 1 in a process of its own. Devices of both meet by a world of their own, if they want to.
Outcome trainedByTwo(const std::vector<std::string> &arguments, const VccProgram &program, const std::function<MakeDevice(const MakeWorld &)> &device,
                      const std::function<void()> &farewell = [] {}) {
  static int Runs = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    Meeting meeting{"127.0.0.1", 20000 + (getpid() * 13 + ++Runs * 101) % 11999};
    auto worldAt = [&](int rank, int further) {
      return [=] { return makeTcpWorld({true, false, rank, 2, rank}, {meeting.host, meeting.port + further}, 30); };
    };
    auto world = [&](int rank) { return worldAt(rank, 0); };
    std::fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
      int none = open("/dev/null", O_WRONLY);
      dup2(none, 1), dup2(none, 2);
      int code = runProgram(arguments, program, test::toySources(), world(1), device(worldAt(1, 1)));
      farewell();
      _exit(code);
    }
    Outcome outcome = train(arguments, program, device(worldAt(0, 1)), world(0));
    int status = 0;
    if (outcome.errors.find("rank 0 cannot wait") != std::string::npos) { // somebody else's port
      kill(child, SIGKILL), waitpid(child, &status, 0);
      continue;
    }
    farewell();
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == outcome.code) << "rank 1 ended with " << status;
    return outcome;
  }
  return {};
}

std::vector<std::string> linesOf(const std::string &log, const std::string &key) {
  std::vector<std::string> found;
  std::istringstream lines(readFile(log));
  for (std::string line; std::getline(lines, line);)
    if (size_t at = line.find("\"" + key + "\":"); at != std::string::npos)
      found.push_back(line.substr(at, line.find_first_of(",}", at) - at));
  return found;
}

double numberOf(const std::string &line) { return std::atof(line.c_str() + line.find(':') + 1); }

class TwoRanks : public testing::TestWithParam<int> {};

TEST_P(TwoRanks, GiveWhatTheCpuGives) {
  Scratch onCpu, onGpus;
  VccProgram program = test::toyProgram();
  VccProgram gpuProgram = test::gpuToy().program;
  program.manifest = gpuProgram.manifest, program.manifest_bytes = gpuProgram.manifest_bytes; // with ranks
  ASSERT_EQ(trainedByTwo(fit(onCpu), program, [](const MakeWorld &) { return MakeDevice(makeCpuDevice); }).code, 0);
  FakeGpu gpu;
  for (int stream : {0, 1, 2})
    gpu.eager[stream] = GetParam() >> stream & 1;
  std::unique_ptr<World> between;
  Outcome found = trainedByTwo(fit(onGpus), gpuProgram, [&](const MakeWorld &meet) {
    gpu.exchange = [&, meet](const void *mine, size_t bytes) {
      if (!between)
        between = meet();
      return between->gather(std::string(static_cast<const char *>(mine), bytes));
    };
    return on(gpu);
  }, [&] { between.reset(); });
  ASSERT_EQ(found.code, 0) << found.errors;
  for (const char *key : {"loss", "grad_norm"}) {
    auto expected = linesOf(onCpu.path("fit/log.jsonl"), key), made = linesOf(onGpus.path("fit/log.jsonl"), key);
    ASSERT_EQ(expected.size(), made.size());
    ASSERT_GE(made.size(), 60u);
    for (size_t i = 0; i < made.size(); ++i)
      EXPECT_NEAR(numberOf(made[i]), numberOf(expected[i]), 1e-5 * std::max(1.0, std::abs(numberOf(expected[i])))) << key << " of step " << i;
  }
  EXPECT_THAT(found.text, HasSubstr("NCCL 2.28.9, 2 ranks"));
  EXPECT_EQ(gpu.countOf("collective_sum"), 2 * 1) << "once as it stands, once captured: the graph holds it from then on";
  EXPECT_EQ(gpu.left(), 0);
}

INSTANTIATE_TEST_SUITE_P(Streams, TwoRanks, testing::Range(0, 8));

std::unique_ptr<World> oneRank() { return makeTcpWorld({true, false, 0, 1, 0}, {"127.0.0.1", 0}); }

TEST(OneRank, ChangesNothing) {
  Scratch alone, joined;
  FakeGpu plain;
  ASSERT_EQ(train(fit(alone), test::gpuToy().program, on(plain), makeSingleWorld).code, 0);
  FakeGpu gpu;
  Outcome found = train(fit(joined), test::gpuToy().program, on(gpu), oneRank);
  ASSERT_EQ(found.code, 0) << found.errors;
  EXPECT_THAT(found.text, HasSubstr("NCCL 2.28.9, 1 rank"));
  EXPECT_EQ(plain.countOf("collective_join"), 0);
  EXPECT_EQ(gpu.countOf("collective_join"), 1);
  EXPECT_EQ(gpu.countOf("collective_sum"), 2);
  for (const char *key : {"loss", "grad_norm"})
    EXPECT_EQ(linesOf(alone.path("fit/log.jsonl"), key), linesOf(joined.path("fit/log.jsonl"), key));
  EXPECT_EQ(readFile(alone.path("fit/weights.safetensors")), readFile(joined.path("fit/weights.safetensors")));
  EXPECT_EQ(gpu.left(), 0);
}

TEST(OneRank, SaysOnceWhatFailsAndGivesEverythingBack) {
  int64_t calls = 0;
  {
    Scratch out;
    FakeGpu gpu;
    ASSERT_EQ(train(fit(out, {"--max-steps", "3"}), test::gpuToy().program, on(gpu), oneRank).code, 0);
    calls = int64_t(gpu.calls.size());
  }
  std::set<std::string> failed;
  for (bool stays : {false, true})
    for (int64_t at = 0; at < calls; ++at) {
      Scratch out;
      FakeGpu gpu;
      gpu.failAt = at, gpu.failWith = EccUncorrectable, gpu.stays = stays;
      Outcome outcome = train(fit(out, {"--max-steps", "3"}), test::gpuToy().program, on(gpu), oneRank);
      EXPECT_EQ(gpu.left(), 0) << gpu.failed << " was call " << at;
      EXPECT_FALSE(gpu.hangs) << gpu.failed << " was call " << at;
      if (gpu.failed.rfind("collective_", 0) != 0)
        continue;
      failed.insert(gpu.failed);
      if (gpu.failed == "collective_destroy" || gpu.failed == "collective_abort")
        continue;
      EXPECT_EQ(outcome.code, 6) << gpu.failed << outcome.errors;
      EXPECT_THAT(outcome.errors, HasSubstr("error: NCCL could not ")) << gpu.failed;
      EXPECT_THAT(outcome.errors, HasSubstr("help: ")) << gpu.failed;
    }
  EXPECT_THAT(failed, testing::IsSupersetOf({"collective_makeId", "collective_join", "collective_beginGroup", "collective_sum", "collective_endGroup",
                                             "collective_fault", "collective_destroy"}));
}

TEST(GpuRanks, DoNotWaitForAnEndThatDoesNotCome) {
  Joined on(2);
  Gpu device(on.gpu.driver());
  CollectiveApi api = on.gpu.collectives();
  static std::promise<void> Free, Called;
  api.abort = [](Communicator) { return Called.set_value(), Free.get_future().wait(), CollectiveSuccess; };
  {
    GpuRanks ranks(api, device, on.world);
    ranks.abort(std::chrono::milliseconds(20));
    ranks.abort(); // nothing is left to end
  }
  EXPECT_EQ(on.gpu.countOf("collective_destroy"), 0);
  Called.get_future().wait();
  Free.set_value();
}

TEST(GpuRanks, HaveAGpuEach) {
  FakeGpu gpu;
  gpu.count = 2;
  EXPECT_EQ(told([&] { Gpu(gpu.driver(), 1); }), "nothing");
  EXPECT_EQ(gpu.opened, 1);
  EXPECT_THAT(told([&] { Gpu(gpu.driver(), 2); }), HasSubstr("6 this machine shows 2 GPUs, but rank 2 of those on it needs one of its own"));
  gpu.count = 1; // its launcher shows each its own
  EXPECT_EQ(told([&] { Gpu(gpu.driver(), 1); }), "nothing");
  EXPECT_EQ(gpu.opened, 0);
}

} // namespace
} // namespace vcc::runtime::cuda
