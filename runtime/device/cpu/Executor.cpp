// SPDX-License-Identifier: Apache-2.0
//
// The walk over the launch table.
#include "runtime/device/cpu/Executor.h"

#include "runtime/device/cpu/DeepProduct.h"
#include "runtime/device/cpu/Threads.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace vcc::runtime {

Executor::Executor(const VccStage &stage, int threads, World *world)
    : Stage(stage), Threads(threads), Joined(world), Memory(stage), Products(Memory),
      Functions(stage.function_count) {
  omp_set_num_threads(threads);
}

std::unique_ptr<Launch> Executor::make(const VccLaunch &launch) {
  switch (launch.kind) {
  case VCC_LAUNCH_KERNEL:
    return makeKernel(launch, Memory, Threads);
  case VCC_LAUNCH_GEMM:
    if (auto deep = makeDeepProduct(launch, Memory))
      return deep;
    return Products.make(launch);
  case VCC_LAUNCH_ATTENTION:
    return makeAttention(launch, Memory, Threads);
  case VCC_LAUNCH_ATTENTION_GRAD:
    return makeAttentionGrad(launch, Memory, Threads);
  case VCC_LAUNCH_FILL:
  case VCC_LAUNCH_COPY:
    return makeMove(launch, Memory, Threads);
  case VCC_LAUNCH_GATHER:
  case VCC_LAUNCH_REDUCE_SCATTER:
    return makeBetweenRanks(launch, Memory, Joined);
  default:
    failLaunch(launch, fmt::format("is of kind {}, which this runtime does not know", launch.kind));
  }
}

std::vector<std::unique_ptr<Launch>> &Executor::ready(int64_t index) {
  if (index < 0 || uint64_t(index) >= Stage.function_count)
    throw Failure(Exit::Internal, fmt::format("stage `{}` has {} functions, but function {} is called",
                                              Stage.name, Stage.function_count, index));
  auto &launches = Functions[size_t(index)];
  const VccFunction &function = Stage.functions[index];
  if (launches.size() != function.launch_count) {
    launches.clear();
    for (uint64_t i = 0; i < function.launch_count; ++i)
      launches.push_back(make(function.launches[i]));
  }
  return launches;
}

void Executor::run(int64_t index) {
  for (auto &launch : ready(index))
    launch->run();
}

void Executor::run(int64_t index, LaunchTime *times) {
  auto now = [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  for (auto &launch : ready(index)) {
    times->begin = now();
    launch->run();
    (times++)->end = now();
  }
}

void Executor::walk(int64_t index, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &goesOn) {
  auto &launches = ready(index);
  for (uint64_t i = 0; i < launches.size(); ++i) {
    launches[i]->run();
    if (!goesOn(Stage.functions[index].launches[i], i, launches.size()))
      return;
  }
}

MachineRates Executor::rates() { return measureRates(Threads); }

bool Executor::joinsRanks(int64_t index) const {
  const VccFunction &function = Stage.functions[index];
  return std::any_of(function.launches, function.launches + function.launch_count, [](const VccLaunch &launch) {
    return launch.kind == VCC_LAUNCH_GATHER || launch.kind == VCC_LAUNCH_REDUCE_SCATTER;
  });
}

std::unique_ptr<StageDevice> makeCpuDevice(const StagePlace &place) {
  return std::make_unique<Executor>(place.table, place.threads, place.world);
}

} // namespace vcc::runtime
