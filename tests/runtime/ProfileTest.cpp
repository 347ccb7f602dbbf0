// SPDX-License-Identifier: Apache-2.0
//
// The parts of a profile: paths that are merged, tracks of threads, the steps that are measured, the table, the rates.
#include "runtime/device/Rates.h"
#include "runtime/loop/Profiler.h"
#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace vcc::runtime {
namespace {

using report::mergedPath;
using report::Timed;
using report::Timeline;
using testing::HasSubstr;
using testing::Not;

TEST(Profile, MergesListIndicesOnly) {
  EXPECT_EQ(mergedPath("lm.model.layers[3].mlp"), "lm.model.layers[*].mlp");
  EXPECT_EQ(mergedPath("a[12].b[0]"), "a[*].b[*]");
  EXPECT_EQ(mergedPath("a[].b[x1].fc1"), "a[].b[x1].fc1");
  EXPECT_EQ(mergedPath("a[1"), "a[1");
  EXPECT_EQ(mergedPath(""), "");
}

TEST(Profile, TakesDownSpansByThreadWhileItRecords) {
  Timeline timeline;
  { Timed timed(&timeline, "loop", "before"); }
  { Timed timed(nullptr, "loop", "nowhere"); }
  EXPECT_TRUE(timeline.tracks().empty());
  timeline.record(true);
  auto work = [&] {
    Timed outer(&timeline, "data", "outer", 7);
    Timed inner(&timeline, "data", "inner");
  };
  work();
  std::thread(work).join();
  timeline.record(false);
  work();
  auto tracks = timeline.tracks();
  ASSERT_EQ(tracks.size(), 2u);
  EXPECT_EQ(tracks[0].name, "data");
  EXPECT_EQ(tracks[1].name, "data 2");
  for (const auto &track : tracks) {
    ASSERT_EQ(track.spans.size(), 2u);
    EXPECT_STREQ(track.spans[0].what, "inner");
    EXPECT_EQ(track.spans[1].number, 7);
    EXPECT_LE(track.spans[1].begin, track.spans[0].begin);
    EXPECT_GE(track.spans[1].end, track.spans[0].end);
  }
}

TEST(Profile, WindowFitsIntoWhatIsLeft) {
  ProfileWindow window = ProfileWindow::of(10, 100, 20, "s");
  EXPECT_EQ(window.first, 13);
  EXPECT_EQ(window.count, 20);
  window = ProfileWindow::of(10, 15, 20, "s");
  EXPECT_EQ(window.first, 13);
  EXPECT_EQ(window.count, 2);
  window = ProfileWindow::of(10, 12, 20, "s");
  EXPECT_EQ(window.first, 11);
  EXPECT_EQ(window.count, 1);
  window = ProfileWindow::of(0, 1, 5, "s");
  EXPECT_EQ(window.warm, 0);
  EXPECT_EQ(window.count, 1);
  EXPECT_THROW(ProfileWindow::of(5, 5, 1, "s"), Failure);
}

TEST(Profile, TableAddsUpAlongPaths) {
  report::Profile profile;
  profile.stage = "s", profile.steps = 2, profile.seconds = 0.010;
  profile.flopRate = 1e9, profile.byteRate = 1e9;
  profile.paths["lm.layers[*].mlp.up"] = {4, 0.004, 0.004, 0.002, 2e6, 1e6};
  profile.paths["lm.layers[*].mlp.down"] = {4, 0.003, 0.003, 0.003, 3e6, 1e6};
  profile.paths["lm.norm"] = {2, 0.00001, 0.00001, 0.00001, 1, 1};
  profile.paths["losses.vcs:10"] = {2, 0.001, 0.001, 0.0001, 1, 1};
  for (const auto &[path, work] : profile.paths)
    profile.byPhase[path]["forward"] = work;
  profile.kernels["row_1"] = {8, 0.007, 0.007, 0.005, 5e6, 2e6};
  profile.kernelPath["row_1"] = "lm.layers[*].mlp.up";
  profile.phases = {{"forward", profile.kernels["row_1"]}, {"other", {0, 0.003, 0, 0, 0, 0}}};
  std::string text = textOf(profile);
  EXPECT_THAT(text, HasSubstr("\n  layers[*].mlp  "));
  EXPECT_THAT(text, HasSubstr("\n    up "));
  EXPECT_THAT(text, HasSubstr("\nlosses.vcs:10 "));
  EXPECT_THAT(text, Not(HasSubstr("norm"))) << "less than a hundredth of the time";
  EXPECT_THAT(text, HasSubstr("3.500   70.0%")) << "mlp: half of 7 ms a step";
  EXPECT_THAT(text, HasSubstr("71.4%")) << "5 ms of 7 ms";
  EXPECT_THAT(text, HasSubstr("\n  1 other ")) << "what is not shown is counted";
  EXPECT_THAT(text, Not(HasSubstr("other processes ran")));
  profile.phases.front().second.least /= 2;
  EXPECT_THAT(textOf(profile), HasSubstr("launches took 2.0 times their least in the mean: other processes ran"));
  JsonWriter writer;
  writeJson(writer, profile);
  JsonDocument document(writer.text());
  EXPECT_EQ(document.root().at("paths").at("lm.norm").at("forward").at("launches").integer(), 2);
}

TEST(Profile, RatesAreThoseOfAMachine) {
  MachineRates rates = measureRates(1);
  EXPECT_GT(rates.flops, 1e8);
  EXPECT_LT(rates.flops, 1e13);
  EXPECT_GT(rates.bytes, 1e8);
  EXPECT_LT(rates.bytes, 1e13);
  EXPECT_DOUBLE_EQ(rates.floor(uint64_t(rates.flops) * 2, 0), double(uint64_t(rates.flops) * 2) / rates.flops);
  EXPECT_DOUBLE_EQ(rates.floor(1, uint64_t(rates.bytes)), double(uint64_t(rates.bytes)) / rates.bytes);
}

} // namespace
} // namespace vcc::runtime
