// SPDX-License-Identifier: Apache-2.0
//
// The GPUs of all ranks joined by NCCL. All that goes between them runs in one stream of its own, in the same order on every rank;
// events join it with the stream of computations, so that a captured graph holds it too.
#ifndef VCC_RUNTIME_COLLECTIVES_NCCL_GPURANKS_H
#define VCC_RUNTIME_COLLECTIVES_NCCL_GPURANKS_H

#include "runtime/collectives/World.h"
#include "runtime/collectives/nccl/CollectiveApi.h"
#include "runtime/device/cuda/Gpu.h"

#include <chrono>
#include <string>
#include <vector>

namespace vcc::runtime::cuda {

/// Floats on the GPU.
struct FloatSpan {
  Address begin = 0;
  uint64_t count = 0;
  friend bool operator==(const FloatSpan &, const FloatSpan &) = default;
};

class GpuRanks {
public:
  /// Every rank makes one at the same place. Needs the GPU's context to be current.
  GpuRanks(const CollectiveApi &api, const Gpu &gpu, World &world);
  ~GpuRanks();
  GpuRanks(const GpuRanks &) = delete;
  GpuRanks &operator=(const GpuRanks &) = delete;

  int size() const { return Size; }
  /// "NCCL 2.28.9, 4 ranks".
  std::string account() const;

  /// What follows here waits for what the stream of computations was given so far.
  void fork();
  /// The stream of computations waits for what was asked here so far.
  void join();
  /// Each rank then has the sums over all; one call of the library for all spans.
  void sum(const std::vector<FloatSpan> &spans);
  /// `bytes` of every rank under each other, rank 0 first.
  void gather(Address from, Address to, uint64_t bytes);
  /// Part `rank` of the sum of all ranks' `from`, of `count` floats.
  void sumParts(Address from, Address to, uint64_t count);

  /// Throws where NCCL has met a fault since, be it another rank's.
  void check() const;
  /// Ends what is underway, which others may never take part in; nothing may be asked afterwards. Graphs that hold anything of this must be
  /// gone. Where NCCL does not come back, as it may not behind a fault of the GPU, it is left alone.
  void abort(std::chrono::milliseconds patience = std::chrono::seconds(10));

private:
  void check(CollectiveResult result, const char *doing) const;

  const CollectiveApi &Api;
  const Gpu &Device;
  int Size, Version = 0;
  Communicator Joined = nullptr;
  Owned<Stream> Line;
  Owned<Event> Forked, Done;
};

} // namespace vcc::runtime::cuda
#endif
