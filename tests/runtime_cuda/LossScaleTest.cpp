// SPDX-License-Identifier: Apache-2.0
//
// Training with a scaled loss on a GPU that records and on the CPU: how the scale moves, that a skipped step changes nothing, how a
// run goes on from a checkpoint, and how one ends that cannot.
#include "runtime/device/cuda/StageOnGpu.h"
#include "runtime/loop/Main.h"
#include "runtime/program/Json.h"
#include "runtime/weights/Safetensors.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime_cuda/GpuToy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <optional>
#include <sstream>

namespace vcc::runtime {
namespace {

using cuda::FakeGpu;
using test::readFile;
using test::Scratch;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int code = -1;
  std::string text, errors;
};

/// With targets that are far too large in some steps.
Outcome train(const Scratch &out, const std::string &hugeAt, bool onGpu, const std::vector<std::string> &more = {}) {
  std::vector<std::string> words = {"--stage", "fit", "--out", out.root(), "--threads", "1", "--seed", "17"};
  words.insert(words.end(), more.begin(), more.end());
  FakeGpu gpu;
  test::teachScaled(gpu);
  auto [program, code] = test::scaledGpuToy();
  MakeDevice device = cuda::onGpu(code, {[&]() -> const cuda::DriverApi & { return gpu.driver(); },
                                         [&](const std::string &) -> const cuda::ProductApi & { return gpu.products(); },
                                         [&](const std::string &) -> const cuda::CollectiveApi & { return gpu.collectives(); }});
  setenv("TOY_HUGE_AT", hugeAt.c_str(), 1);
  Outcome outcome;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  outcome.code = onGpu ? runProgram(words, program, test::toySources(), makeSingleWorld, device)
                       : runProgram(words, test::scaledToyProgram(), test::toySources(), makeSingleWorld, makeCpuDevice);
  outcome.text = testing::internal::GetCapturedStdout();
  outcome.errors = testing::internal::GetCapturedStderr();
  unsetenv("TOY_HUGE_AT");
  return outcome;
}

struct Step {
  double scale, skipped;
  std::optional<double> norm;
};

std::vector<Step> stepsOf(const Scratch &out) {
  std::vector<Step> steps;
  std::istringstream lines(readFile(out.path("fit/log.jsonl")));
  for (std::string line; std::getline(lines, line);) {
    JsonDocument document(line);
    if (!document.root().find("step"))
      continue;
    auto norm = document.root().find("grad_norm");
    steps.push_back({document.root().at("loss_scale").number(), document.root().at("skipped").number(),
                     norm ? std::optional(norm->number()) : std::nullopt});
  }
  return steps;
}

class LossScale : public testing::TestWithParam<bool> {};

TEST_P(LossScale, MovesByTheRule) {
  Scratch out;
  Outcome outcome = train(out, "7,8,40", GetParam());
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  std::vector<Step> steps = stepsOf(out);
  ASSERT_EQ(steps.size(), 60u);
  double scale = 65536, good = 0, skipped = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "step " << i);
    EXPECT_EQ(steps[i].scale, scale);
    EXPECT_TRUE(steps[i].skipped == 0 || steps[i].skipped == 1);
    EXPECT_EQ(steps[i].norm.has_value(), steps[i].skipped == 0);
    good = steps[i].skipped != 0 ? 0 : good + 1, skipped += steps[i].skipped;
    scale *= steps[i].skipped != 0 ? 0.5 : good == 5 ? 2 : 1;
    good = good == 5 ? 0 : good;
  }
  for (size_t at : {7, 8, 40})
    EXPECT_EQ(steps[at].skipped, 1) << at;
  EXPECT_GT(skipped, 3) << "a scale that doubles every 5 steps comes to its end by itself";
  EXPECT_EQ(steps.back().skipped, 0);
  JsonDocument summary(readFile(out.path("fit/summary.json")));
  EXPECT_EQ(double(summary.root().at("skipped").integer()), skipped);
  EXPECT_THAT(outcome.text, HasSubstr("stage fit, step 8: skipped, for a gradient is not finite; the loss scale is"));
}

TEST_P(LossScale, ASkippedStepChangesNothing) {
  auto after = [](const char *steps, const char *hugeAt) {
    Scratch out;
    EXPECT_EQ(train(out, hugeAt, GetParam(), {"--max-steps", steps}).code, 0);
    return std::pair(readFile(out.path("fit/weights.safetensors")), stepsOf(out).back().skipped);
  };
  auto [before, none] = after("3", "3");
  auto [kept, skipped] = after("4", "3");
  auto [changed, good] = after("4", "20");
  EXPECT_EQ((std::vector{none, skipped, good}), (std::vector{0.0, 1.0, 0.0}));
  // Weights are the file's end; the head says how many steps were taken.
  auto weights = [](const std::string &file) { return file.substr(file.size() - 20); };
  EXPECT_EQ(weights(kept), weights(before));
  EXPECT_NE(weights(changed), weights(before));
}

TEST_P(LossScale, GoesOnFromACheckpoint) {
  Scratch whole, cut;
  ASSERT_EQ(train(whole, "7,8,40", GetParam()).code, 0);
  for (const char *most : {"9", "23"})
    ASSERT_EQ(train(cut, "7,8,40", GetParam(), {"--max-steps", most}).code, 0);
  ASSERT_EQ(train(cut, "7,8,40", GetParam()).code, 0);
  std::vector<Step> expected = stepsOf(whole), found = stepsOf(cut);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found[i].scale, expected[i].scale) << i;
    EXPECT_EQ(found[i].skipped, expected[i].skipped) << i;
    EXPECT_EQ(found[i].norm, expected[i].norm) << i;
  }
  EXPECT_EQ(readFile(cut.path("fit/weights.safetensors")), readFile(whole.path("fit/weights.safetensors")));
}

TEST_P(LossScale, EndsWhereNothingIsLeftOfIt) {
  Scratch out;
  Outcome outcome = train(out, "all", GetParam());
  EXPECT_EQ(outcome.code, 5);
  // 65536 is halved sixteen times.
  EXPECT_THAT(outcome.errors, AllOf(HasSubstr("stage `fit`, step 16: a gradient is not finite at a loss scale of 1, and less than 1 is left of it"),
                                    HasSubstr("fp16 has no numbers beyond 65504")));
}

TEST_P(LossScale, ALossThatIsNotFiniteEndsTheRun) {
  Scratch out;
  setenv("TOY_NAN_AT", "4", 1);
  Outcome outcome = train(out, "", GetParam());
  unsetenv("TOY_NAN_AT");
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.errors, AllOf(HasSubstr("step 4: `loss.squares` is nan"), HasSubstr("`precision bf16`"), Not(HasSubstr("loss scale"))));
}

INSTANTIATE_TEST_SUITE_P(Devices, LossScale, testing::Bool(), [](const auto &given) { return given.param ? "Gpu" : "Cpu"; });

} // namespace
} // namespace vcc::runtime
