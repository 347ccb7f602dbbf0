// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime_cuda/GpuToy.h"

#include <deque>
#include <map>
#include <string>

namespace vcc::runtime::test {

namespace {

constexpr char Cubin[] = "cubin", Ptx[] = "ptx";
constexpr VccDeviceImage Images[] = {{VCC_IMAGE_CUBIN, 80, Cubin, sizeof Cubin}, {VCC_IMAGE_CUBIN, 90, Cubin, sizeof Cubin}, {VCC_IMAGE_PTX, 80, Ptx, sizeof Ptx}};
constexpr VccDeviceModule Modules[] = {{Images, 3}, {Images, 3}};

struct Converted {
  std::deque<std::vector<int64_t>> ints;
  std::deque<std::vector<VccLaunch>> launches;
  std::deque<std::vector<VccFunction>> functions;
  std::vector<VccStage> stages;
  std::vector<VccDeviceKernel> kernels;
  VccProgram program;
  VccDeviceCode code;
  std::map<std::string, cuda::FakeKernel> behaviour;
  const VccKernelName *names = nullptr;

  explicit Converted(const VccProgram &toy) : program(toy) {
    names = program.kernels;
    for (uint64_t i = 0; i < program.kernel_count; ++i)
      kernels.push_back({program.kernels[i].name, uint32_t(i % 2), 128});
    for (uint64_t i = 0; i < program.stage_count; ++i)
      stages.push_back(convert(program.stages[i]));
    program.stages = stages.data();
    program.kernels = nullptr, program.kernel_count = 0;
    code = {Modules, 2, kernels.data(), kernels.size()};
  }

  VccStage convert(VccStage stage) {
    auto &list = functions.emplace_back(stage.functions, stage.functions + stage.function_count);
    for (VccFunction &function : list) {
      auto &converted = launches.emplace_back(function.launches, function.launches + function.launch_count);
      for (VccLaunch &launch : converted)
        if (launch.kind == VCC_LAUNCH_KERNEL)
          makeGrid(launch);
      function.launches = converted.data();
    }
    stage.functions = list.data();
    return stage;
  }

  /// Words: the launch's integers, then its units.
  void makeGrid(VccLaunch &launch) {
    uint64_t number = 0;
    while (names[number].kernel != launch.kernel)
      ++number;
    std::vector<int64_t> words = {int64_t(number), 3};
    words.insert(words.end(), launch.buffer_count, 0);
    words.insert(words.end(), launch.ints, launch.ints + launch.int_count);
    words.push_back(launch.units);
    uint64_t buffers = launch.buffer_count, integers = launch.int_count;
    VccKernel kernel = launch.kernel;
    behaviour[kernels[number].name] = {buffers + integers + 1, [=](const uint64_t *given, unsigned, unsigned) {
      std::vector<void *> addresses;
      for (uint64_t i = 0; i < buffers; ++i)
        addresses.push_back(reinterpret_cast<void *>(given[i]));
      std::vector<int64_t> numbers(given + buffers, given + buffers + integers);
      kernel(addresses.data(), numbers.data(), 0, int64_t(given[buffers + integers]));
    }};
    launch.kind = VCC_LAUNCH_GRID, launch.kernel = nullptr;
    launch.ints = ints.emplace_back(std::move(words)).data(), launch.int_count = ints.back().size();
  }
};

Converted &converted() {
  static Converted all(toyProgram());
  return all;
}
Converted &scaled() {
  static Converted all(scaledToyProgram());
  return all;
}

} // namespace

GpuToy gpuToy(const std::string &precision) {
  static std::map<std::string, std::pair<std::string, VccProgram>> Programs;
  auto [found, isNew] = Programs.try_emplace(precision);
  auto &[text, program] = found->second;
  if (isNew) {
    program = converted().program;
    text.assign(program.manifest, program.manifest_bytes);
    for (auto [from, to] : {std::pair<std::string, std::string>("\"target\":\"cpu\"", "\"target\":\"cuda\""),
                            {"\"name\":\"fit\",", "\"name\":\"fit\",\"precision\":\"" + precision + "\",\"parallel\":{\"shard\":\"none\"},"}})
      text.replace(text.find(from), from.size(), to);
    program.manifest = text.data(), program.manifest_bytes = text.size();
  }
  return {program, converted().code};
}

GpuToy scaledGpuToy() {
  static std::string text;
  static VccProgram program = [] {
    VccProgram made = scaled().program;
    text.assign(made.manifest, made.manifest_bytes);
    std::string from = "\"target\":\"cpu\"";
    text.replace(text.find(from), from.size(), "\"target\":\"cuda\"");
    made.manifest = text.data(), made.manifest_bytes = text.size();
    return made;
  }();
  return {program, scaled().code};
}

void teachScaled(cuda::FakeGpu &gpu) { gpu.kernels = scaled().behaviour; }

void teach(cuda::FakeGpu &gpu) { gpu.kernels = converted().behaviour; }

} // namespace vcc::runtime::test
