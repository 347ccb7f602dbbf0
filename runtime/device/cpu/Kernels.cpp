// SPDX-License-Identifier: Apache-2.0
//
// Generated kernels, fills and copies: a range of units per thread. What a unit computes does not depend on the split.
#include "runtime/device/cpu/Launch.h"
#include "runtime/device/cpu/Threads.h"

#include <fmt/format.h>

#include <cstring>
#include <vector>

namespace vcc::runtime {

namespace {

// Below this much work a second thread costs more than it saves (about two microseconds of fork and join).
constexpr uint64_t SmallBytes = 32 * 1024, SmallFlops = 64 * 1024;

class KernelLaunch final : public Launch {
public:
  KernelLaunch(const VccLaunch &launch, const StageMemory &memory, int threads)
      : Kernel(launch.kernel), Ints(launch.ints), Units(launch.units) {
    if (!Kernel)
      failLaunch(launch, "has no kernel");
    if (Units < 0)
      failLaunch(launch, fmt::format("has {} units", Units));
    for (uint64_t i = 0; i < launch.buffer_count; ++i)
      Buffers.push_back(memory.resolve(launch.buffers[i]));
    bool small = launch.bytes > 0 && launch.bytes < SmallBytes && launch.flops < SmallFlops;
    Threads = small || Units <= 1 ? 1 : int(std::min<int64_t>(threads, Units));
    Grain = Units >= 1024 * int64_t(Threads) ? 64 : 1;
  }

  void run() override {
    if (Units == 0)
      return;
    onThreads(Threads, [this](int thread, int threads) {
      auto [begin, end] = shareOf(Units, thread, threads, Grain);
      if (begin < end)
        Kernel(Buffers.data(), Ints, begin, end);
    });
  }

private:
  VccKernel Kernel;
  const int64_t *Ints;
  int64_t Units, Grain;
  int Threads;
  std::vector<void *> Buffers;
};

class MoveLaunch final : public Launch {
public:
  MoveLaunch(const VccLaunch &launch, const StageMemory &memory, int threads) {
    bool copies = launch.kind == VCC_LAUNCH_COPY;
    checkCounts(launch, copies ? 2 : 1, 1);
    Bytes = launch.ints[0];
    if (Bytes < 0)
      failLaunch(launch, fmt::format("moves {} bytes", Bytes));
    To = check(launch, launch.buffers[0], memory);
    From = copies ? check(launch, launch.buffers[1], memory) : nullptr;
    Threads = Bytes < (1 << 18) ? 1 : threads;
  }

  void run() override {
    onThreads(Threads, [this](int thread, int threads) {
      auto [begin, end] = shareOf(Bytes, thread, threads, 4096);
      if (begin == end)
        return;
      if (From)
        std::memcpy(To + begin, From + begin, size_t(end - begin));
      else
        std::memset(To + begin, 0, size_t(end - begin));
    });
  }

private:
  std::byte *check(const VccLaunch &launch, const VccBuffer &buffer, const StageMemory &memory) {
    std::byte *address = memory.resolve(buffer);
    if (!address || uint64_t(Bytes) > memory.size(VccRegion(buffer.region)) - buffer.offset)
      failLaunch(launch, fmt::format("moves {} bytes beyond the end of its region", Bytes));
    return address;
  }
  std::byte *To, *From;
  int64_t Bytes;
  int Threads;
};

} // namespace

std::unique_ptr<Launch> makeKernel(const VccLaunch &launch, const StageMemory &memory,
                                   int threads) {
  return std::make_unique<KernelLaunch>(launch, memory, threads);
}

std::unique_ptr<Launch> makeMove(const VccLaunch &launch, const StageMemory &memory, int threads) {
  return std::make_unique<MoveLaunch>(launch, memory, threads);
}

} // namespace vcc::runtime
