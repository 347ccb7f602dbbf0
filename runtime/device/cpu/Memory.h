// SPDX-License-Identifier: Apache-2.0
//
// The five regions of a stage, allocated once at the sizes that the plan says: zeroed, 64-byte aligned, never moved.
#ifndef VCC_RUNTIME_DEVICE_CPU_MEMORY_H
#define VCC_RUNTIME_DEVICE_CPU_MEMORY_H

#include "runtime/program/Abi.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace vcc::runtime {

class StageMemory {
public:
  enum class Use { Whole, Image };
  /// Throws Failure(Exit::Memory) that lists the regions where they exceed what the machine can give. An `Image` is the host's
  /// side of what lies on a device: its pages are taken when they are touched, and of the arena hardly any are.
  explicit StageMemory(const VccStage &stage, Use use = Use::Whole);
  ~StageMemory();
  StageMemory(const StageMemory &) = delete;
  StageMemory &operator=(const StageMemory &) = delete;

  std::byte *base(VccRegion region) const { return Base[region]; }
  uint64_t size(VccRegion region) const { return Size[region]; }
  std::byte *at(VccRegion region, uint64_t offset) const { return Base[region] + offset; }
  /// The address of a buffer, null for an absent operand. Throws Failure(Exit::Internal) where it lies outside.
  std::byte *resolve(const VccBuffer &buffer) const;
  uint64_t total() const;
  /// Gives a region's pages back to the system: it is zero again.
  void release(VccRegion region) const;

private:
  static constexpr int Regions = 6;
  std::byte *Base[Regions] = {};
  uint64_t Size[Regions] = {};
};

/// "1.25 GB", "3.5 MB".
std::string textOfBytes(uint64_t bytes);

/// Bytes that this process may still take: physical memory that is free or can be freed, within its control group.
uint64_t availableMemory();

} // namespace vcc::runtime
#endif
