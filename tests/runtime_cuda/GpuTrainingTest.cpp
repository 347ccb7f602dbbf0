// SPDX-License-Identifier: Apache-2.0
//
// The whole toy program trained on a GPU that records: what comes out is what the CPU gives, whatever streams are late; what is asked
// of the driver in the steady state; every call made to fail once.
#include "runtime/device/cuda/StageOnGpu.h"
#include "runtime/loop/Main.h"
#include "runtime/program/Json.h"
#include "runtime/weights/Safetensors.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime_cuda/GpuToy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <sstream>
#include <tuple>

namespace vcc::runtime {
namespace {

using cuda::FakeGpu;
using test::readFile;
using test::Scratch;
using testing::AnyOf;
using testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string text, errors;
};

Outcome train(const std::vector<std::string> &arguments, const VccProgram &program, const MakeDevice &device) {
  Outcome outcome;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  outcome.code = runProgram(arguments, program, test::toySources(), makeSingleWorld, device);
  outcome.text = testing::internal::GetCapturedStdout();
  outcome.errors = testing::internal::GetCapturedStderr();
  return outcome;
}

Outcome trainOn(FakeGpu &gpu, const std::vector<std::string> &arguments, const std::string &precision = "f32") {
  test::teach(gpu);
  auto [program, code] = test::gpuToy(precision);
  return train(arguments, program,
               cuda::onGpu(code, {[&]() -> const cuda::DriverApi & { return gpu.driver(); },
                                  [&](const std::string &) -> const cuda::ProductApi & { return gpu.products(); },
                                  [&](const std::string &) -> const cuda::CollectiveApi & { return gpu.collectives(); }}));
}

std::vector<std::string> stages(const Scratch &out, const std::string &which, std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"--stage", which, "--out", out.root(), "--weights", out.root(), "--threads", "1", "--seed", "17"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::vector<double> numbersOf(const std::string &log, const std::string &key) {
  std::vector<double> numbers;
  std::istringstream lines(readFile(log));
  for (std::string line; std::getline(lines, line);)
    if (size_t at = line.find("\"" + key + "\":"); at != std::string::npos)
      numbers.push_back(std::atof(line.c_str() + at + key.size() + 3));
  return numbers;
}

void expectClose(const std::vector<double> &left, const std::vector<double> &right) {
  ASSERT_EQ(left.size(), right.size());
  ASSERT_FALSE(left.empty());
  for (size_t i = 0; i < left.size(); ++i)
    EXPECT_NEAR(left[i], right[i], 1e-5 * std::max(1.0, std::abs(right[i]))) << "step " << i;
}

/// Streams late or early: of computations, of copies.
class Order : public testing::TestWithParam<std::pair<bool, bool>> {};

TEST_P(Order, GivesWhatTheCpuGives) {
  Scratch onCpu, onGpu;
  Outcome expected = train(stages(onCpu, "all"), test::toyProgram(), makeCpuDevice);
  ASSERT_EQ(expected.code, 0) << expected.errors;
  FakeGpu gpu;
  gpu.eager[0] = GetParam().first, gpu.eager[1] = GetParam().second;
  Outcome found = trainOn(gpu, stages(onGpu, "all"));
  ASSERT_EQ(found.code, 0) << found.errors;
  for (const char *stage : {"fit", "tune"}) {
    expectClose(numbersOf(onGpu.path(stage + std::string("/log.jsonl")), "loss"), numbersOf(onCpu.path(stage + std::string("/log.jsonl")), "loss"));
    expectClose(numbersOf(onGpu.path(stage + std::string("/log.jsonl")), "grad_norm"),
                numbersOf(onCpu.path(stage + std::string("/log.jsonl")), "grad_norm"));
  }
  EXPECT_EQ(numbersOf(onGpu.path("tune/log.jsonl"), "accuracy"), numbersOf(onCpu.path("tune/log.jsonl"), "accuracy"));
  EXPECT_THAT(found.text, HasSubstr("GPU: Fake GPU (sm_90), driver of CUDA 13.0"));
  EXPECT_EQ(gpu.left(), 0) << "something was not given back";
  EXPECT_EQ(gpu.bytes(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Streams, Order, testing::Values(std::pair(true, true), std::pair(false, false), std::pair(true, false), std::pair(false, true)));

TEST(GpuTraining, GoesOnWhereItWasCutOff) {
  Scratch whole, cut;
  FakeGpu first;
  ASSERT_EQ(trainOn(first, stages(whole, "fit")).code, 0);
  FakeGpu second;
  ASSERT_EQ(trainOn(second, stages(cut, "fit", {"--max-steps", "23"})).code, 0);
  FakeGpu third;
  ASSERT_EQ(trainOn(third, stages(cut, "fit")).code, 0);
  EXPECT_EQ(numbersOf(cut.path("fit/log.jsonl"), "loss"), numbersOf(whole.path("fit/log.jsonl"), "loss"));
  EXPECT_EQ(readFile(cut.path("fit/weights.safetensors")), readFile(whole.path("fit/weights.safetensors")));
}

TEST(GpuTraining, AllocatesCompilesAndWaitsForNothingInTheSteadyState) {
  auto callsOf = [](int steps) {
    Scratch out;
    FakeGpu gpu;
    EXPECT_EQ(trainOn(gpu, stages(out, "fit", {"--max-steps", std::to_string(steps)})).code, 0);
    std::map<std::string, int64_t> counts;
    for (const std::string &call : gpu.calls)
      ++counts[call];
    counts["idle"] = std::count(gpu.idle.begin(), gpu.idle.end(), true);
    return counts;
  };
  // No checkpoint lies between the fourth step and the sixth; the second step captures. Waiting is for what lies behind: the number
  // of waits that leave the GPU without work does not depend on the number of steps.
  auto few = callsOf(4), many = callsOf(6);
  std::set<std::string> more;
  for (const auto &[call, count] : many)
    if (count != few[call])
      more.insert(call);
  EXPECT_EQ(more, (std::set<std::string>{"copyOnDevice", "copyToDevice", "copyToHost", "launchGraph", "recordEvent", "synchronizeEvent", "waitEvent"}));
  // Two micro-batches and an update make a step.
  EXPECT_EQ(many["launchGraph"] - few["launchGraph"], 2 * 3);
}

TEST(GpuTraining, SaysOnceWhatFailsAndGivesEverythingBack) {
  int64_t calls = 0;
  std::vector<std::string> arguments;
  {
    Scratch out;
    FakeGpu gpu;
    ASSERT_EQ(trainOn(gpu, stages(out, "fit", {"--max-steps", "3"})).code, 0);
    calls = int64_t(gpu.calls.size());
  }
  ASSERT_GT(calls, 200);
  for (bool stays : {false, true})
    for (int64_t at = 0; at < calls; ++at) {
      Scratch out;
      FakeGpu gpu;
      gpu.failAt = at, gpu.failWith = cuda::EccUncorrectable, gpu.stays = stays;
      Outcome outcome = trainOn(gpu, stages(out, "fit", {"--max-steps", "3"}));
      EXPECT_EQ(gpu.left(), 0) << gpu.failed << " was call " << at;
      bool givesBack = outcome.code == 0; // nothing is told of a fault when all is done
      if (givesBack) {
        EXPECT_THAT(gpu.failed, AnyOf(HasSubstr("destroy"), HasSubstr("free"), HasSubstr("release"), HasSubstr("unload"), HasSubstr("synchronizeStream")));
        continue;
      }
      // A library does not know what the driver knows: that the GPU is lost.
      if (!stays && gpu.failed.rfind("product_", 0) == 0 && gpu.failed.find("destroy") == std::string::npos)
        EXPECT_THAT(outcome.errors, HasSubstr("cuBLASLt")) << gpu.failed;
      else {
        EXPECT_EQ(outcome.code, 6) << gpu.failed << ": " << outcome.errors;
        EXPECT_THAT(outcome.errors, HasSubstr("error that ECC cannot correct: could not ")) << gpu.failed;
        EXPECT_THAT(outcome.errors, HasSubstr("help: ")) << gpu.failed;
      }
    }
}

TEST(GpuTraining, SaysWhatDoesNotFitBeforeItTrains) {
  Scratch out;
  FakeGpu gpu;
  gpu.memory = 1 << 20;
  Outcome outcome = trainOn(gpu, stages(out, "fit"));
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.errors, HasSubstr("stage `fit` needs 33.6 MB on the GPU (workspace of libraries 33.6 MB"));
  EXPECT_THAT(outcome.errors, HasSubstr("but the Fake GPU has 1.0 MB left of 1.0 MB"));
  EXPECT_EQ(gpu.countOf("launch"), 0);
}

TEST(GpuTraining, MultipliesAsTheStageSays) {
  auto asked = [](const std::string &precision, std::vector<std::string> more) {
    Scratch out;
    FakeGpu gpu;
    gpu.algorithms = {{0, 2}, {0, 1}};
    Outcome outcome = trainOn(gpu, stages(out, "fit", more), precision);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_FALSE(gpu.asked.empty());
    return gpu.asked.empty() ? cuda::FakeProduct{} : gpu.asked.back();
  };
  EXPECT_EQ(asked("f32", {"--max-steps", "2"}).compute, cuda::ComputeF32);
  EXPECT_EQ(asked("tf32", {"--max-steps", "2"}).compute, cuda::ComputeTf32);
  EXPECT_EQ(asked("f32", {"--max-steps", "2"}).algorithm, 0u);
  EXPECT_EQ(asked("f32", {"--max-steps", "2", "--measure-products"}).algorithm, 1u);
}

TEST(GpuTraining, ProfilesWithoutChangingANumber) {
  Scratch plain, profiled;
  FakeGpu first;
  ASSERT_EQ(trainOn(first, stages(plain, "fit", {"--max-steps", "12"})).code, 0);
  FakeGpu gpu;
  gpu.name = "NVIDIA H100 80GB HBM3";
  gpu.algorithms = {{0, 3}};
  Outcome outcome = trainOn(gpu, stages(profiled, "fit", {"--max-steps", "12", "--profile-steps", "4"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(gpu.left(), 0);
  EXPECT_EQ(numbersOf(profiled.path("fit/log.jsonl"), "loss"), numbersOf(plain.path("fit/log.jsonl"), "loss"));
  EXPECT_EQ(readFile(profiled.path("fit/weights.safetensors")), readFile(plain.path("fit/weights.safetensors")));
  EXPECT_THAT(outcome.text, HasSubstr("the table of devices has of NVIDIA H100 SXM: matrix products 66.9 TFLOP/s, memory 3.35 TB/s"));
  // Each launch takes a millisecond on the fake's clock, a product three; four steps of two micro-batches and an update.
  std::string text = readFile(profiled.path("fit/profile.json"));
  JsonDocument document(text);
  auto kernels = document.root().at("profile").at("kernels");
  for (auto [name, launches, milliseconds] : {std::tuple("gemm 8x1x4", 8, 3), std::tuple("gemm 4x1x8 tn", 8, 3), std::tuple("residual", 8, 1),
                                              std::tuple("squares", 8, 1), std::tuple("update", 4, 1)}) {
    auto work = kernels.at(name);
    EXPECT_EQ(work.at("launches").integer(), launches) << name;
    EXPECT_NEAR(work.at("seconds").number(), 1e-3 * launches * milliseconds, 1e-8) << name;
    EXPECT_NEAR(work.at("least_seconds").number(), 1e-3 * launches * milliseconds, 1e-8) << name;
  }
  // A captured graph with times, and one without, of each function.
  EXPECT_EQ(gpu.countOf("instantiate"), 4);
  EXPECT_EQ(gpu.countOf("recordTimer"), 5 + 2);
}

TEST(GpuTraining, ProfilesAGpuThatNoTableHas) {
  Scratch out;
  FakeGpu gpu;
  Outcome outcome = trainOn(gpu, stages(out, "fit", {"--max-steps", "5", "--profile"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_THAT(outcome.text, HasSubstr("the table of devices has no Fake GPU: no floor\n"));
}

TEST(GpuTraining, StopsOnANumberThatIsNotFinite) {
  Scratch out;
  setenv("TOY_NAN_AT", "5", 1);
  FakeGpu gpu;
  Outcome outcome = trainOn(gpu, stages(out, "fit"));
  unsetenv("TOY_NAN_AT");
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.errors, HasSubstr("step 5"));
  EXPECT_EQ(gpu.left(), 0);
}

TEST(GpuTraining, FrozenWeightsAreOnTheGpuAlone) {
  FakeGpu gpu;
  VccStage stage{};
  stage.name = "frozen", stage.weights_bytes = 1 << 14, stage.state_bytes = 64;
  manifest::Stage told;
  VccDeviceCode code{};
  MakeDevice make = cuda::onGpu(code, {[&]() -> const cuda::DriverApi & { return gpu.driver(); }, {}, {}});
  std::unique_ptr<StageDevice> device = make({stage, told, 1, nullptr, {}});
  for (VccRegion region : {VCC_REGION_WEIGHTS, VCC_REGION_STATE}) {
    std::memset(device->memory().base(region), 7, device->memory().size(region));
    device->publish(region, 0, device->memory().size(region));
  }
  const std::byte *last = device->memory().at(VCC_REGION_WEIGHTS, stage.weights_bytes - 1);
  EXPECT_EQ(*last, std::byte(0));
  EXPECT_EQ(*device->memory().at(VCC_REGION_STATE, 63), std::byte(7));
  device->fetch(VCC_REGION_WEIGHTS, 0, stage.weights_bytes);
  EXPECT_EQ(*last, std::byte(7));
}

} // namespace
} // namespace vcc::runtime
