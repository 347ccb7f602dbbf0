// SPDX-License-Identifier: Apache-2.0
//
// A stage's regions on the GPU: one allocation for weights, state and constants, which stay, and one for all that lives within a
// step: arena, io, the place where inputs wait, the workspace of libraries.
#ifndef VCC_RUNTIME_DEVICE_CUDA_REGIONS_H
#define VCC_RUNTIME_DEVICE_CUDA_REGIONS_H

#include "runtime/device/cuda/Gpu.h"
#include "runtime/program/Abi.h"

namespace vcc::runtime::cuda {

/// What each library call may use at most, of one block that all share.
constexpr uint64_t WorkspaceBytes = uint64_t(32) << 20;

class Regions {
public:
  /// Zeroes, and constants in their place. Throws Failure(Exit::Memory) with all terms where the GPU has too little left.
  Regions(const Gpu &gpu, const VccStage &stage);

  Address at(VccRegion region, uint64_t offset) const { return Base[region] + offset; }
  /// The address of a buffer, 0 for an absent operand. Throws Failure(Exit::Internal) where it lies outside.
  Address resolve(const VccBuffer &buffer) const;
  uint64_t size(VccRegion region) const { return Size[region]; }
  /// Where inputs lie between their copy from the host and the run that takes them; as large as io.
  Address waiting() const { return Waiting; }
  Address workspace() const { return Workspace; }
  uint64_t bytes() const { return Bytes; }

private:
  static constexpr int Count = 6;
  Address Base[Count] = {};
  uint64_t Size[Count] = {};
  Address Waiting = 0, Workspace = 0;
  uint64_t Bytes = 0;
  Owned<Address> Lasting, Passing;
};

} // namespace vcc::runtime::cuda
#endif
