// SPDX-License-Identifier: Apache-2.0
//
// Launches between ranks. Every rank walks the same launches, so each meets its like on the others.
#include "runtime/collectives/World.h"
#include "runtime/device/cpu/Launch.h"

#include <fmt/format.h>

namespace vcc::runtime {

namespace {

class BetweenRanks final : public Launch {
public:
  BetweenRanks(const VccLaunch &launch, const StageMemory &memory, World *world)
      : Kind(launch.kind), Joined(world) {
    checkCounts(launch, 2, 2);
    int64_t ranks = launch.ints[0];
    if (!world || world->size() != ranks)
      failLaunch(launch, fmt::format("joins {} ranks, but {} run", ranks, world ? world->size() : 1));
    Bytes = size_t(launch.ints[1]);
    To = memory.at(VccRegion(launch.buffers[0].region), launch.buffers[0].offset);
    From = memory.at(VccRegion(launch.buffers[1].region), launch.buffers[1].offset);
  }
  void run() override {
    if (Kind == VCC_LAUNCH_GATHER)
      return Joined->gather(From, To, Bytes);
    Joined->sumParts(reinterpret_cast<const float *>(From), reinterpret_cast<float *>(To), int64_t(Bytes / sizeof(float)));
  }

private:
  uint32_t Kind;
  World *Joined;
  size_t Bytes = 0;
  std::byte *To = nullptr;
  const std::byte *From = nullptr;
};

} // namespace

std::unique_ptr<Launch> makeBetweenRanks(const VccLaunch &launch, const StageMemory &memory, World *world) {
  return std::make_unique<BetweenRanks>(launch, memory, world);
}

} // namespace vcc::runtime
