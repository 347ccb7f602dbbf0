// SPDX-License-Identifier: Apache-2.0
//
// Gradients added over ranks in buckets, each as soon as the launches that make its part are behind, while the backward goes on. Cut and
// order of buckets are a matter of the stage alone, so that ranks agree whichever functions they run.
#ifndef VCC_RUNTIME_DEVICE_CUDA_GRADIENTSUMS_H
#define VCC_RUNTIME_DEVICE_CUDA_GRADIENTSUMS_H

#include "runtime/collectives/nccl/GpuRanks.h"
#include "runtime/device/cuda/Regions.h"
#include "runtime/program/Gradients.h"

#include <cstdint>
#include <vector>

namespace vcc::runtime::cuda {

/// Large enough that the network is busy, small enough that little is left when the backward ends.
constexpr uint64_t BucketBytes = uint64_t(32) << 20;

/// What is added up at once.
using Bucket = std::vector<GradientSpan>;

/// From the last place to the first, since a backward ends with what was declared first. Spans must not overlap.
std::vector<Bucket> bucketsOf(const std::vector<GradientSpan> &spans, uint64_t bytes = BucketBytes);

/// For each bucket how many launches of a function come before it may be sent, in growing order: all that may touch it. `spans`: all
/// gradients, also those within others. A launch's operands are known by where they begin and by the bytes of all together.
std::vector<uint64_t> sendAfter(const VccFunction &function, const std::vector<Bucket> &buckets, const std::vector<GradientSpan> &spans);

class GradientSums {
public:
  GradientSums(const manifest::Stage &stage, const Regions &regions, GpuRanks &ranks);

  /// To be called before the first launch of a function (0) and after each (1, 2, ..): sends what may be sent. The last of them ends with
  /// the stream of computations waiting for all.
  void launched(const VccFunction &function, uint64_t count);
  uint64_t buckets() const { return Buckets.size(); }

private:
  std::vector<GradientSpan> Spans;
  std::vector<Bucket> Buckets;
  std::vector<std::vector<FloatSpan>> Places; // of the buckets
  GpuRanks &Ranks;
  const VccFunction *Planned = nullptr;
  std::vector<uint64_t> After; // of the planned function
};

} // namespace vcc::runtime::cuda
#endif
