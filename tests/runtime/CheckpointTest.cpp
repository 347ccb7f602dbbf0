// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints are whole or not there.
#include "runtime/program/Failure.h"
#include "runtime/weights/Checkpoint.h"
#include "runtime/weights/Files.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime/ToyProgram.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

namespace vcc::runtime {
namespace {

class CheckpointFiles : public testing::Test {
protected:
  CheckpointFiles() {
    const VccProgram &program = test::toyProgram();
    Manifest = manifest::parseManifest({program.manifest, program.manifest_bytes});
    for (size_t i = 0; i < sizeof State / sizeof *State; ++i)
      State[i] = float(i);
  }
  Checkpoints make() {
    return Checkpoints(Manifest.stages[0], Scratch.path("c"), [this](const manifest::State &state) {
      return reinterpret_cast<std::byte *>(State) + state.place.offset;
    });
  }
  test::Scratch Scratch;
  manifest::Manifest Manifest;
  report::Log Log;
  float State[128];
};

TEST_F(CheckpointFiles, RoundTrip) {
  Checkpoints checkpoints = make();
  EXPECT_FALSE(checkpoints.newest(Log));
  Progress progress;
  progress.step = 7, progress.seed = ~0ull, progress.logBytes = 123, progress.program = "p", progress.frozen = "f";
  progress.stages = {{"other", "abc"}};
  progress.unusable = {{"clips", {3, 17}}};
  checkpoints.save(progress);
  float before[128];
  std::memcpy(before, State, sizeof State);
  std::memset(State, 0, sizeof State);
  auto found = make().newest(Log);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 7);
  EXPECT_EQ(found->seed, ~0ull);
  EXPECT_EQ(found->logBytes, 123);
  EXPECT_EQ(found->stages.at("other"), "abc");
  EXPECT_EQ(found->unusable, progress.unusable);
  make().load(*found);
  EXPECT_EQ(State[3], before[3]);   // weight
  EXPECT_EQ(State[16], before[16]); // bias
  EXPECT_EQ(State[70], before[70]); // moment
  EXPECT_EQ(State[40], 0);          // gradients are not kept
}

TEST_F(CheckpointFiles, KeepsTheNewest) {
  Checkpoints checkpoints = make();
  for (int64_t step : {1, 2, 3, 4}) {
    Progress progress;
    progress.step = step;
    checkpoints.save(progress);
  }
  EXPECT_FALSE(exists(checkpoints.pathOf(2)));
  EXPECT_TRUE(exists(checkpoints.pathOf(3)));
  EXPECT_EQ(checkpoints.newest(Log)->step, 4);
}

TEST_F(CheckpointFiles, PassesOverWhatIsNotWhole) {
  Checkpoints checkpoints = make();
  for (int64_t step : {1, 2}) {
    Progress progress;
    progress.step = step;
    checkpoints.save(progress);
  }
  std::filesystem::remove(checkpoints.pathOf(2) + "/DONE");
  std::filesystem::create_directories(Scratch.path("c/step-00000009.partial"));
  Checkpoints again = make();
  EXPECT_EQ(again.newest(Log)->step, 1);
  EXPECT_FALSE(exists(Scratch.path("c/step-00000009.partial")));
  for (const char *text : {"", "{", "{\"step\":1}", "{\"step\":99}"}) {
    writeWhole(checkpoints.pathOf(1) + "/DONE", text);
    EXPECT_FALSE(make().newest(Log)) << text;
  }
}

// A damaged one counts for nothing: neither does it push out what was just saved, nor what can be read.
TEST_F(CheckpointFiles, PrunesWhatIsDamagedFirst) {
  Checkpoints checkpoints = make();
  for (int64_t step : {1, 20, 30}) {
    Progress progress;
    progress.step = step;
    checkpoints.save(progress);
  }
  Progress progress;
  progress.step = 10;
  for (int64_t step : {20, 30})
    std::filesystem::remove(checkpoints.pathOf(step) + "/DONE");
  Checkpoints second = make();
  EXPECT_FALSE(second.newest(Log)); // step 1 was pruned: two are kept
  second.save(progress);
  EXPECT_TRUE(exists(checkpoints.pathOf(10)));
  EXPECT_FALSE(exists(checkpoints.pathOf(20)));
  EXPECT_FALSE(exists(checkpoints.pathOf(30)));
  EXPECT_EQ(make().newest(Log)->step, 10);
  // Older than the new one, but damaged: the good one before it stays.
  std::filesystem::create_directories(checkpoints.pathOf(12));
  Checkpoints third = make();
  EXPECT_EQ(third.newest(Log)->step, 10);
  progress.step = 14;
  third.save(progress);
  EXPECT_TRUE(exists(checkpoints.pathOf(10)));
  EXPECT_FALSE(exists(checkpoints.pathOf(12)));
}

} // namespace
} // namespace vcc::runtime
