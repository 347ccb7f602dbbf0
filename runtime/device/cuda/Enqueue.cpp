// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/Enqueue.h"

#include "runtime/device/LaunchFaults.h"

#include <fmt/format.h>

#include <limits>
#include <vector>

namespace vcc::runtime::cuda {

bool isBetweenRanks(const VccLaunch &launch) { return launch.kind == VCC_LAUNCH_GATHER || launch.kind == VCC_LAUNCH_REDUCE_SCATTER; }

namespace {

Address movable(const VccLaunch &launch, const VccBuffer &buffer, const Regions &regions, int64_t bytes) {
  Address address = regions.resolve(buffer);
  if (!address || bytes < 0 || uint64_t(bytes) > regions.size(VccRegion(buffer.region)) - buffer.offset)
    failLaunch(launch, fmt::format("moves {} bytes beyond the end of its region", bytes));
  return address;
}

class GridLaunch final : public Enqueued {
public:
  GridLaunch(const VccLaunch &launch, const Gpu &gpu, const Regions &regions, Kernels &kernels) : Device(gpu), Name(launch.name) {
    uint64_t buffers = launch.buffer_count;
    checkCounts(launch, buffers, VCC_GRID_OFFSETS + buffers);
    int64_t blocks = launch.ints[VCC_GRID_BLOCKS];
    if (launch.ints[VCC_GRID_KERNEL] < 0 || blocks < 0 || blocks > std::numeric_limits<int32_t>::max())
      failLaunch(launch, fmt::format("runs kernel {} in {} blocks", launch.ints[VCC_GRID_KERNEL], blocks));
    Blocks = unsigned(blocks);
    Entry = kernels.at(uint64_t(launch.ints[VCC_GRID_KERNEL]));
    for (uint64_t i = 0; i < buffers; ++i) {
      const VccBuffer &buffer = launch.buffers[i];
      Words.push_back(regions.resolve(buffer) + uint64_t(launch.ints[VCC_GRID_OFFSETS + i]) * vcc_element_bytes(buffer.element));
    }
    for (uint64_t i = VCC_GRID_OFFSETS + buffers; i < launch.int_count; ++i)
      Words.push_back(uint64_t(launch.ints[i]));
    for (uint64_t &word : Words)
      Parameters.push_back(&word);
  }

  void enqueue(Stream stream) override {
    if (!Blocks)
      return;
    Result result = Device.api().launch(Entry.kernel, Blocks, 1, 1, Entry.threads, 1, 1, 0, stream, Parameters.data(), nullptr);
    if (result != Success)
      Device.fail(result, fmt::format("launch `{}`", Name ? Name : "?"));
  }

private:
  const Gpu &Device;
  const char *Name;
  unsigned Blocks = 0;
  Kernels::Entry Entry;
  std::vector<uint64_t> Words;
  std::vector<void *> Parameters;
};

class Move final : public Enqueued {
public:
  Move(const VccLaunch &launch, const Gpu &gpu, const Regions &regions) : Device(gpu) {
    bool copies = launch.kind != VCC_LAUNCH_FILL, joins = isBetweenRanks(launch);
    checkCounts(launch, copies ? 2 : 1, joins ? 2 : 1);
    Bytes = launch.ints[joins ? 1 : 0];
    To = movable(launch, launch.buffers[0], regions, Bytes);
    From = copies ? movable(launch, launch.buffers[1], regions, Bytes) : 0;
  }

  void enqueue(Stream stream) override {
    if (!Bytes)
      return;
    if (From)
      Device.check(Device.api().copyOnDevice(To, From, size_t(Bytes), stream), "copy on the GPU");
    else
      Device.check(Device.api().fill(To, 0, size_t(Bytes), stream), "clear memory of the GPU");
  }

private:
  const Gpu &Device;
  int64_t Bytes = 0;
  Address To = 0, From = 0;
};

class BetweenRanks final : public Enqueued {
public:
  BetweenRanks(const VccLaunch &launch, const Regions &regions, GpuRanks &ranks) : Ranks(ranks), Gathers(launch.kind == VCC_LAUNCH_GATHER) {
    checkCounts(launch, 2, 2);
    int64_t count = launch.ints[0], bytes = launch.ints[1];
    if (count != ranks.size())
      failLaunch(launch, fmt::format("joins {} ranks, but {} run", count, ranks.size()));
    if (!Gathers && bytes % int64_t(sizeof(float)))
      failLaunch(launch, fmt::format("adds up {} bytes, which are no floats", bytes));
    To = movable(launch, launch.buffers[0], regions, Gathers ? bytes * count : bytes);
    From = movable(launch, launch.buffers[1], regions, Gathers ? bytes : bytes * count);
    Bytes = uint64_t(bytes);
  }

  void enqueue(Stream) override {
    Ranks.fork();
    if (Gathers)
      Ranks.gather(From, To, Bytes);
    else
      Ranks.sumParts(From, To, Bytes / sizeof(float));
    Ranks.join();
  }

private:
  GpuRanks &Ranks;
  bool Gathers;
  uint64_t Bytes = 0;
  Address To = 0, From = 0;
};

} // namespace

std::unique_ptr<Enqueued> makeGrid(const VccLaunch &launch, const Gpu &gpu, const Regions &regions, Kernels &kernels) {
  return std::make_unique<GridLaunch>(launch, gpu, regions, kernels);
}

std::unique_ptr<Enqueued> makeBetweenRanks(const VccLaunch &launch, const Gpu &gpu, const Regions &regions, GpuRanks *ranks) {
  if (ranks)
    return std::make_unique<BetweenRanks>(launch, regions, *ranks);
  checkCounts(launch, 2, 2);
  if (launch.ints[0] != 1)
    failLaunch(launch, fmt::format("joins {} ranks, but one runs", launch.ints[0]));
  return makeMove(launch, gpu, regions);
}

std::unique_ptr<Enqueued> makeMove(const VccLaunch &launch, const Gpu &gpu, const Regions &regions) {
  return std::make_unique<Move>(launch, gpu, regions);
}

} // namespace vcc::runtime::cuda
