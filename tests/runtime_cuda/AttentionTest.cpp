// SPDX-License-Identifier: Apache-2.0
//
// Attention of the launch table as cuDNN is asked for it: what the graphs compute, against loops over the table's own layout;
// which engine is taken; every call made to fail once.
#include "runtime/device/cuda/Attentions.h"
#include "runtime/device/cuda/Libraries.h"
#include "runtime/device/cuda/StageOnGpu.h"
#include "tests/Seed.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime/Told.h"
#include "tests/runtime_cuda/FakeAttention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <random>

namespace vcc::runtime::cuda {
namespace {

using test::told;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

float widened(uint16_t bits, bool half) {
  if (half)
    return float(std::bit_cast<_Float16>(bits));
  return std::bit_cast<float>(uint32_t(bits) << 16);
}
uint16_t narrowed(double value, bool half) {
  if (half)
    return std::bit_cast<uint16_t>(_Float16(float(value)));
  auto bits = std::bit_cast<uint32_t>(float(value));
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

struct Sizes {
  int64_t b = 2, sq = 5, sk = 5, h = 4, g = 2, d = 8;
  bool causal = true, lengths = false, half = false;
};

/// q, k, v, out, lse, dout, dq, dk, dv, lengths and workspace in an arena of a fake GPU.
class Setting {
public:
  explicit Setting(const Sizes &sizes) : S(sizes), Api(Gpu) {
    int64_t queries = S.b * S.sq * S.h * S.d, keys = S.b * S.sk * S.g * S.d;
    int64_t bytes[] = {queries * 2, keys * 2, keys * 2, queries * 2, S.b * S.h * S.sq * 4, queries * 2, queries * 2, keys * 2, keys * 2, S.b * 4, Workspace};
    uint64_t next = 64;
    for (int i = 0; i < 11; ++i)
      Offsets[i] = next, next += uint64_t(bytes[i] + 127) / 64 * 64;
    Stage.name = "attention", Stage.arena_bytes = next;
    Device.emplace(Gpu.driver());
    Memory.emplace(*Device, Stage);
    for (int i = 0; i < 11; ++i)
      Buffers[i] = {VCC_REGION_ARENA, i == 4 || i > 8 ? VCC_ELEMENT_F32 : S.half ? VCC_ELEMENT_F16 : VCC_ELEMENT_BF16, Offsets[i]};
    if (!S.lengths)
      Buffers[9] = {};
  }

  VccLaunch launch(bool grad) {
    int at[][12] = {{0, 1, 2, 3, 4, 9, -1, 10}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, 10}};
    Table.clear();
    for (int i = 0; i < (grad ? 12 : 8); ++i)
      Table.push_back(at[grad][i] < 0 ? VccBuffer{} : Buffers[at[grad][i]]);
    Ints = {S.b, S.sq, S.sk, S.h, S.g, S.d, S.causal, std::bit_cast<int32_t>(Scale), 1, Workspace, 1};
    VccLaunch launch{};
    launch.kind = grad ? VCC_LAUNCH_ATTENTION_GRAD : VCC_LAUNCH_ATTENTION, launch.name = "lm.block";
    launch.buffers = Table.data(), launch.buffer_count = Table.size(), launch.ints = Ints.data(), launch.int_count = Ints.size();
    return launch;
  }
  template <typename T> T *at(int part) { return reinterpret_cast<T *>(Memory->at(VCC_REGION_ARENA, Offsets[part])); }
  double read(int part, int64_t place) { return double(widened(at<uint16_t>(part)[place], S.half)); }

  Sizes S;
  FakeGpu Gpu;
  FakeAttention Api;
  VccStage Stage{};
  std::optional<cuda::Gpu> Device;
  std::optional<Regions> Memory;
  uint64_t Offsets[11];
  VccBuffer Buffers[11];
  std::vector<VccBuffer> Table;
  std::vector<int64_t> Ints;
  int64_t Workspace = 1 << 16;
  float Scale = 0.375f;
};

/// Forward and backward, each result within what rounding of its terms to bf16 may do (f16 rounds less).
void check(const Sizes &sizes, std::mt19937 &random) {
  Setting given(sizes);
  const Sizes &s = given.S;
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int part : {0, 1, 2, 5})
    for (int64_t i = 0, n = s.b * (part == 1 || part == 2 ? s.sk * s.g : s.sq * s.h) * s.d; i < n; ++i)
      given.at<uint16_t>(part)[i] = narrowed(uniform(random), s.half);
  std::vector<int64_t> lengths(size_t(s.b), s.sk);
  for (int64_t b = 0; b < s.b && s.lengths; ++b) {
    lengths[size_t(b)] = std::uniform_int_distribution<int64_t>(1, s.sk)(random);
    given.at<int32_t>(9)[b] = int32_t(lengths[size_t(b)]);
  }
  Attentions attentions(given.Api.api(), *given.Device);
  attentions.make(given.launch(false), *given.Memory)->enqueue(given.Device->compute());
  given.Device->check(given.Gpu.driver().synchronizeStream(given.Device->compute()), "compute");

  auto query = [&](int64_t b, int64_t i, int64_t h, int64_t d) { return ((b * s.sq + i) * s.h + h) * s.d + d; };
  auto key = [&](int64_t b, int64_t j, int64_t h, int64_t d) { return ((b * s.sk + j) * s.g + h / (s.h / s.g)) * s.d + d; };
  auto sees = [&](int64_t b, int64_t i, int64_t j) { return j < lengths[size_t(b)] && (!s.causal || j <= i + s.sk - s.sq); };
  auto score = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t d = 0; d < s.d; ++d)
      sum += given.read(0, query(b, i, h, d)) * given.read(1, key(b, j, h, d));
    return sum * double(given.Scale);
  };
  constexpr double Rounding = 1.0 / 128;
  for (int64_t b = 0; b < s.b; ++b)
    for (int64_t h = 0; h < s.h; ++h)
      for (int64_t i = 0; i < s.sq; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < s.sk; ++j)
          sum += sees(b, i, j) ? std::exp(score(b, h, i, j)) : 0;
        ASSERT_NEAR(double(given.at<float>(4)[(b * s.h + h) * s.sq + i]), std::log(sum), 1e-4);
        for (int64_t d = 0; d < s.d; ++d) {
          double out = 0, size = 0;
          for (int64_t j = 0; j < s.sk; ++j) {
            double term = sees(b, i, j) ? std::exp(score(b, h, i, j)) / sum * given.read(2, key(b, j, h, d)) : 0;
            out += term, size += std::abs(term);
          }
          ASSERT_NEAR(given.read(3, query(b, i, h, d)), out, Rounding * size + 1e-5) << b << " " << h << " " << i << " " << d;
        }
      }

  for (int part : {6, 7, 8}) // not a number where nobody writes
    std::fill_n(given.at<uint16_t>(part), s.b * (part == 6 ? s.sq * s.h : s.sk * s.g) * s.d, uint16_t(0x7fc0)); // of either type
  attentions.make(given.launch(true), *given.Memory)->enqueue(given.Device->compute());
  given.Device->check(given.Gpu.driver().synchronizeStream(given.Device->compute()), "compute");
  std::vector<double> want[3], size[3];
  for (int part = 0; part < 3; ++part)
    want[part].resize(size_t(s.b * (part ? s.sk * s.g : s.sq * s.h) * s.d)), size[part] = want[part];
  auto add = [&](int part, int64_t place, double term) { want[part][size_t(place)] += term, size[part][size_t(place)] += std::abs(term); };
  for (int64_t b = 0; b < s.b; ++b)
    for (int64_t h = 0; h < s.h; ++h)
      for (int64_t i = 0; i < s.sq; ++i) {
        double rows = 0;
        for (int64_t d = 0; d < s.d; ++d)
          rows += given.read(5, query(b, i, h, d)) * given.read(3, query(b, i, h, d));
        for (int64_t j = 0; j < s.sk; ++j) {
          if (!sees(b, i, j))
            continue;
          double p = std::exp(score(b, h, i, j) - double(given.at<float>(4)[(b * s.h + h) * s.sq + i])), dp = 0;
          for (int64_t d = 0; d < s.d; ++d)
            dp += given.read(5, query(b, i, h, d)) * given.read(2, key(b, j, h, d));
          double ds = p * (dp - rows) * double(given.Scale);
          for (int64_t d = 0; d < s.d; ++d) {
            add(0, query(b, i, h, d), ds * given.read(1, key(b, j, h, d)));
            add(1, key(b, j, h, d), ds * given.read(0, query(b, i, h, d)));
            add(2, key(b, j, h, d), p * given.read(5, query(b, i, h, d)));
          }
        }
      }
  for (int part = 0; part < 3; ++part)
    for (size_t i = 0; i < want[part].size(); ++i)
      ASSERT_NEAR(given.read(6 + part, int64_t(i)), want[part][i], Rounding * size[part][i] + 1e-4) << "gradient " << part << " at " << i;
}

TEST(Attention, IsThatOfTheTable) {
  std::mt19937 random(vcc::test::chosenSeed());
  auto number = [&](int64_t least, int64_t most) { return std::uniform_int_distribution<int64_t>(least, most)(random); };
  for (int round = 0; round < 60; ++round) {
    Sizes sizes;
    sizes.b = number(1, 3), sizes.sq = number(1, 6), sizes.g = number(1, 3), sizes.h = sizes.g * number(1, 3), sizes.d = 8 * number(1, 2);
    sizes.causal = number(0, 1), sizes.lengths = number(0, 1), sizes.half = number(0, 1);
    sizes.sk = sizes.causal && sizes.lengths ? sizes.sq : sizes.causal ? sizes.sq + number(0, 3) : number(1, 7);
    SCOPED_TRACE(testing::Message() << "round " << round << ": " << sizes.b << " x " << sizes.sq << " on " << sizes.sk << ", heads " << sizes.h << " on "
                                    << sizes.g << " of " << sizes.d << " causal " << sizes.causal << " lengths " << sizes.lengths << " half " << sizes.half);
    check(sizes, random);
    if (testing::Test::HasFatalFailure())
      return;
  }
}

/// Versions whose gradient counts keys that are not there are told how many there are; what is computed is the same.
TEST(Attention, SaysHowManyKeysThereAreWhereTheLibraryMustBeTold) {
  std::mt19937 random(vcc::test::chosenSeed());
  auto stepsOf = [](size_t version, int64_t keys, bool grad) {
    Sizes sizes;
    sizes.sk = keys;
    Setting given(sizes);
    FakeAttention::version = version;
    Attentions attentions(given.Api.api(), *given.Device);
    attentions.make(given.launch(grad), *given.Memory);
    return given.Gpu.countOf("attention_finishPart");
  };
  for (bool grad : {false, true}) {
    int64_t plain = stepsOf(91600, 5, grad), whole = stepsOf(91500, 128, grad);
    EXPECT_EQ(stepsOf(91500, 5, grad) > plain, grad);
    EXPECT_EQ(whole, stepsOf(91600, 128, grad));
  }
  FakeAttention::version = 91500;
  for (bool causal : {false, true}) {
    Sizes sizes;
    sizes.sk = 7, sizes.causal = causal;
    check(sizes, random);
  }
  FakeAttention::version = 91900;
}

TEST(Attention, IsPlannedOnceForEachShape) {
  Setting given({});
  Attentions attentions(given.Api.api(), *given.Device);
  auto first = attentions.make(given.launch(false), *given.Memory);
  int64_t parts = given.Gpu.countOf("attention_createPart");
  given.Scale = 0.5f; // a number that is handed over
  auto second = attentions.make(given.launch(false), *given.Memory);
  EXPECT_EQ(given.Gpu.countOf("attention_createPart"), parts + 1); // its operands
  EXPECT_EQ(attentions.plansMade(), 1u);
  attentions.make(given.launch(true), *given.Memory);
  EXPECT_EQ(attentions.plansMade(), 2u);
  EXPECT_EQ(attentions.version(), "cuDNN 9.19.0");
  // What is asked when a call is enqueued, and so while a graph is captured.
  given.Gpu.calls.clear();
  first->enqueue(given.Device->compute()), second->enqueue(given.Device->compute());
  EXPECT_THAT(given.Gpu.calls, testing::ElementsAre("attention_setStream", "attention_execute", "attention_execute"));
}

TEST(Attention, TakesTheFirstEngineThatMayBeTaken) {
  auto taken = [](std::vector<FakeEngine> best, std::vector<FakeEngine> fallback) {
    Setting given({});
    given.Api.best = std::move(best), given.Api.fallback = std::move(fallback);
    Attentions attentions(given.Api.api(), *given.Device);
    std::string text = told([&] { attentions.make(given.launch(true), *given.Memory)->enqueue(given.Device->compute()); });
    return text == "nothing" ? std::to_string(given.Gpu.countOf("attention_finishPart")) : text;
  };
  std::string first = taken({{}}, {});
  EXPECT_EQ(taken({{true, 1 << 15}}, {}), first);
  EXPECT_EQ(taken({{false}, {}}, {}), first); // one that is not even planned
  EXPECT_EQ(std::stoi(taken({{true, 1 << 16}, {}}, {})), std::stoi(first) + 1);
  EXPECT_EQ(std::stoi(taken({{true, 0, AttentionOtherChip}, {}}, {})), std::stoi(first) + 1);
  EXPECT_EQ(std::stoi(taken({{false}}, {{}})), std::stoi(first) + 1); // asked a second time
  EXPECT_THAT(taken({}, {}), AllOf(StartsWith("6 attention of `lm.block`: cuDNN 9.19.0 could not find an engine"), HasSubstr("it has no engine for it"),
                                   HasSubstr("--attention=split")));
  EXPECT_THAT(taken({{false}, {true, 1 << 20}}, {{true, 1 << 18}}),
              AllOf(StartsWith("6 "), HasSubstr("of 3 engines 1 would not give the same bits every time, and the least workspace of the others is 262144 "
                                                "bytes where the call may have 65120")));
  EXPECT_THAT(taken({{true, 0, AttentionNoPrerequisite}}, {}), AllOf(StartsWith("6 "), HasSubstr("made to fail"), HasSubstr("nvidia-cuda-nvrtc")));
  EXPECT_THAT(taken({{true, 0, AttentionOldDriver}, {true, 0, AttentionOtherChip}}, {{false}}), AllOf(StartsWith("6 "), HasSubstr("must fit the driver")));
  EXPECT_THAT(taken({{true, 0, AttentionGpuMemory}}, {}), StartsWith("4 attention of `lm.block`"));
}

TEST(Attention, RefusesWhatTheLibraryCannot) {
  auto refused = [](const Sizes &sizes, auto &&change) {
    Setting given(sizes);
    Attentions attentions(given.Api.api(), *given.Device);
    VccLaunch launch = given.launch(false);
    change(given);
    return told([&] { attentions.make(launch, *given.Memory); });
  };
  EXPECT_EQ(refused({}, [](Setting &) {}), "nothing");
  EXPECT_THAT(refused({}, [](Setting &given) { given.Table[6] = given.Table[5] = {VCC_REGION_ARENA, 4, 64}; }), HasSubstr("70 launch `lm.block` has rows of several sequences"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Table[1].element = 4; }), HasSubstr("has an operand of 4 bytes an element"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Table[1].element = VCC_ELEMENT_F16; }), HasSubstr("has operands of bf16 and of f16"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Table[0].offset += 2; }), HasSubstr("does not begin at a multiple of 16 bytes"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Ints[VCC_ATTENTION_D] = 12; }), HasSubstr("to 2 key heads of size 12"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Ints[VCC_ATTENTION_G] = 3; }), HasSubstr("has 4 query heads to 3 key heads"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Ints[VCC_ATTENTION_SK] = 0; }), HasSubstr("a dimension of 0"));
  EXPECT_THAT(refused({}, [](Setting &given) { given.Ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD] = 1 << 30; }), HasSubstr("bytes of workspace"));
}

TEST(Attention, TellsOfEveryCallThatFails) {
  int64_t calls = 1;
  for (int64_t fails = -1; fails < calls; ++fails) {
    Sizes sizes;
    sizes.lengths = true;
    Setting given(sizes);
    given.at<int32_t>(9)[0] = given.at<int32_t>(9)[1] = 3;
    given.Gpu.calls.clear();
    given.Gpu.failAt = fails;
    int64_t before = given.Gpu.left();
    std::string text = told([&] {
      Attentions attentions(given.Api.api(), *given.Device);
      std::unique_ptr<Enqueued> forward = attentions.make(given.launch(false), *given.Memory), backward = attentions.make(given.launch(true), *given.Memory);
      forward->enqueue(given.Device->compute()), backward->enqueue(given.Device->compute());
    });
    EXPECT_EQ(given.Api.left(), 0);
    EXPECT_EQ(given.Gpu.left(), before);
    if (fails < 0) {
      EXPECT_EQ(text, "nothing");
      calls = int64_t(given.Gpu.calls.size());
    } else if (given.Gpu.failed.find("destroy") == std::string::npos && given.Gpu.failed != "free")
      EXPECT_THAT(text, testing::AnyOf(StartsWith("6 "), StartsWith("70 "))) << given.Gpu.failed;
  }
  EXPECT_GT(calls, 300);
}

TEST(Attention, TellsThatTheGpuIsLostRatherThanWhatTheLibrarySays) {
  Setting given({});
  Attentions attentions(given.Api.api(), *given.Device);
  auto ready = attentions.make(given.launch(false), *given.Memory);
  given.Gpu.failAt = int64_t(given.Gpu.calls.size()) + 1, given.Gpu.failWith = EccUncorrectable, given.Gpu.stays = true; // behind setStream
  EXPECT_THAT(told([&] { ready->enqueue(given.Device->compute()); }),
              StartsWith("6 the GPU's memory has an error that ECC cannot correct: could not enqueue attention of `lm.block`"));
}

TEST(Attention, IsPlannedBeforeAStageIsCaptured) {
  Setting given({});
  VccLaunch launches[] = {given.launch(false), {}};
  std::vector<VccBuffer> buffers = given.Table;
  std::vector<int64_t> ints = given.Ints;
  launches[0].buffers = buffers.data(), launches[0].ints = ints.data();
  launches[1] = given.launch(true);
  VccFunction function{"micro_main", launches, 2};
  VccStage stage = given.Stage;
  stage.functions = &function, stage.function_count = 1;
  manifest::Stage told;
  VccDeviceCode code{};
  {
    MakeDevice make = onGpu(code, {[&]() -> const DriverApi & { return given.Gpu.driver(); },
                                   [&](const std::string &) -> const ProductApi & { return given.Gpu.products(); }, {}, 0,
                                   [&](const std::string &) -> const AttentionApi & { return given.Api.api(); }});
    std::unique_ptr<StageDevice> device = make({stage, told, 1, nullptr, {}});
    EXPECT_EQ(given.Gpu.countOf("attention_create"), 1); // a library that is missing is told of before the first step
    given.Gpu.calls.clear();
    device->run(0);
    EXPECT_EQ(given.Gpu.countOf("beginCapture"), 0);
    EXPECT_EQ(given.Gpu.countOf("attention_execute"), 2);
    given.Gpu.calls.clear();
    device->run(0);
    auto begin = std::find(given.Gpu.calls.begin(), given.Gpu.calls.end(), "beginCapture");
    auto end = std::find(begin, given.Gpu.calls.end(), "endCapture");
    EXPECT_THAT(std::vector<std::string>(begin, end), testing::ElementsAre("beginCapture", "attention_execute", "attention_execute"));
    EXPECT_EQ(given.Gpu.countOf("attention_createPart"), 0);
    given.Gpu.calls.clear();
    device->run(0); // replayed
    EXPECT_EQ(given.Gpu.countOf("attention_execute"), 0);
    EXPECT_EQ(given.Gpu.countOf("launchGraph"), 1);
    EXPECT_THAT(device->account().at(0), HasSubstr(", cuDNN 9.19.0"));
  }
  EXPECT_EQ(given.Api.left(), 0);
}

TEST(Attention, TellsWhatIsMissing) {
  test::Scratch scratch;
  EXPECT_THAT(told([&] { loadAttention(scratch.path("none")); }),
              AllOf(StartsWith("6 attention needs libcudnn.so.9"), HasSubstr("pip install nvidia-cudnn-cu13"), HasSubstr("--cuda-libs")));
  auto started = [](AttentionResult result) {
    Setting given({});
    given.Gpu.failAt = int64_t(given.Gpu.calls.size()), given.Api.failWith = result;
    return told([&] { Attentions attentions(given.Api.api(), *given.Device); });
  };
  EXPECT_THAT(started(AttentionNotStarted), AllOf(StartsWith("6 the library for attention: cuDNN 9.19.0 could not start"), HasSubstr("driver (CUDA 13.0)")));
  EXPECT_THAT(started(AttentionPartMissing), AllOf(StartsWith("6 "), HasSubstr("must lie in one folder")));
  EXPECT_THAT(started(AttentionNoPrerequisite), AllOf(StartsWith("6 "), HasSubstr("nvidia-cuda-nvrtc")));
  EXPECT_THAT(started(AttentionHostMemory), StartsWith("4 "));
  for (size_t version : {90300, 91000, 91001}) {
    FakeAttention::version = version;
    Setting given({});
    EXPECT_THAT(told([&] { Attentions attentions(given.Api.api(), *given.Device); }),
                AllOf(StartsWith("6 attention needs cuDNN 9.10.2 or newer, but cuDNN 9."), HasSubstr("--attention=split")));
    EXPECT_EQ(given.Gpu.countOf("attention_create"), 0);
  }
  FakeAttention::version = 91900;
}

} // namespace
} // namespace vcc::runtime::cuda
