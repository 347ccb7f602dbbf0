// SPDX-License-Identifier: Apache-2.0
//
// Allocation of a stage's regions by anonymous mappings; huge pages where the system grants them.
#include "runtime/device/cpu/Memory.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include <sys/mman.h>

namespace vcc::runtime {

static uint64_t readNumber(const char *path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? number : std::numeric_limits<uint64_t>::max();
}

uint64_t availableMemory() {
  uint64_t available = std::numeric_limits<uint64_t>::max();
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;)
    if (word == "MemAvailable:") {
      uint64_t kilobytes = 0;
      if (file >> kilobytes)
        available = kilobytes * 1024;
      break;
    }
  uint64_t limit = readNumber("/sys/fs/cgroup/memory.max");
  uint64_t used = readNumber("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<uint64_t>::max() && used <= limit)
    available = std::min(available, limit - used);
  return available;
}

std::string textOfBytes(uint64_t bytes) {
  return bytes >= 1000000000 ? fmt::format("{:.2f} GB", double(bytes) / 1e9)
                             : fmt::format("{:.1f} MB", double(bytes) / 1e6);
}

[[noreturn]] static void failMemory(const VccStage &stage, const std::string &why) {
  throw Failure(Exit::Memory,
                fmt::format("stage `{}` needs {} (frozen weights {}, trained weights, gradients and "
                            "moments {}, activations {}, inputs and outputs {}), {}",
                            stage.name,
                            textOfBytes(stage.weights_bytes + stage.state_bytes +
                                        stage.arena_bytes + stage.io_bytes),
                            textOfBytes(stage.weights_bytes), textOfBytes(stage.state_bytes),
                            textOfBytes(stage.arena_bytes), textOfBytes(stage.io_bytes), why),
                "fewer rows per batch with more accumulation needs fewer activations");
}

StageMemory::StageMemory(const VccStage &stage, Use use) {
  Size[VCC_REGION_WEIGHTS] = stage.weights_bytes;
  Size[VCC_REGION_STATE] = stage.state_bytes;
  Size[VCC_REGION_ARENA] = stage.arena_bytes;
  Size[VCC_REGION_IO] = stage.io_bytes;
  if (uint64_t available = availableMemory(); use == Use::Whole && total() > available)
    failMemory(stage, fmt::format("but this machine has {} left", textOfBytes(available)));
  for (int region : {VCC_REGION_WEIGHTS, VCC_REGION_STATE, VCC_REGION_ARENA, VCC_REGION_IO}) {
    size_t bytes = std::max<size_t>(Size[region], 64);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (use == Use::Image ? MAP_NORESERVE : 0);
    void *base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (base == MAP_FAILED)
      failMemory(stage, "which the system refused to give");
    madvise(base, bytes, MADV_HUGEPAGE);
    Base[region] = static_cast<std::byte *>(base);
  }
  Size[VCC_REGION_CONSTANT] = stage.constant_bytes;
  Base[VCC_REGION_CONSTANT] =
      static_cast<std::byte *>(const_cast<void *>(stage.constants)); // kernels only read it
}

StageMemory::~StageMemory() {
  for (int region : {VCC_REGION_WEIGHTS, VCC_REGION_STATE, VCC_REGION_ARENA, VCC_REGION_IO})
    if (Base[region])
      munmap(Base[region], std::max<size_t>(Size[region], 64));
}

void StageMemory::release(VccRegion region) const { madvise(Base[region], std::max<size_t>(Size[region], 64), MADV_DONTNEED); }

std::byte *StageMemory::resolve(const VccBuffer &buffer) const {
  if (buffer.region == VCC_REGION_NONE)
    return nullptr;
  if (buffer.region >= Regions || buffer.offset > Size[buffer.region])
    throw Failure(Exit::Internal, fmt::format("a launch uses byte {} of region {}, which has {}",
                                              buffer.offset, buffer.region,
                                              buffer.region < Regions ? Size[buffer.region] : 0));
  return Base[buffer.region] + buffer.offset;
}

uint64_t StageMemory::total() const {
  return Size[VCC_REGION_WEIGHTS] + Size[VCC_REGION_STATE] + Size[VCC_REGION_ARENA] +
         Size[VCC_REGION_IO];
}

} // namespace vcc::runtime
