// SPDX-License-Identifier: Apache-2.0
//
// The five regions of a stage, allocated once at the sizes that the plan says: zeroed, 64-byte aligned, never moved.
#ifndef VCC_RUNTIME_DEVICE_CPU_MEMORY_H
#define VCC_RUNTIME_DEVICE_CPU_MEMORY_H

#include "runtime/program/Abi.h"

#include <cstddef>
#include <cstdint>

namespace vcc::runtime {

class StageMemory {
public:
  /// Throws Failure(Exit::Memory) that lists the regions where they exceed what the machine can give.
  explicit StageMemory(const VccStage &stage);
  ~StageMemory();
  StageMemory(const StageMemory &) = delete;
  StageMemory &operator=(const StageMemory &) = delete;

  std::byte *base(VccRegion region) const { return Base[region]; }
  uint64_t size(VccRegion region) const { return Size[region]; }
  std::byte *at(VccRegion region, uint64_t offset) const { return Base[region] + offset; }
  /// The address of a buffer, null for an absent operand. Throws Failure(Exit::Internal) where it lies outside.
  std::byte *resolve(const VccBuffer &buffer) const;
  uint64_t total() const;

private:
  static constexpr int Regions = 6;
  std::byte *Base[Regions] = {};
  uint64_t Size[Regions] = {};
};

/// Bytes that this process may still take: physical memory that is free or can be freed, within its control group.
uint64_t availableMemory();

} // namespace vcc::runtime
#endif
