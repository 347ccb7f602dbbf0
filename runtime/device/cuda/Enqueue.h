// SPDX-License-Identifier: Apache-2.0
//
// A launch of the program's table, made ready once (kernel loaded, addresses resolved, library algorithm chosen) and put into a
// stream every time its function runs, or once while the function is captured.
#ifndef VCC_RUNTIME_DEVICE_CUDA_ENQUEUE_H
#define VCC_RUNTIME_DEVICE_CUDA_ENQUEUE_H

#include "runtime/collectives/nccl/GpuRanks.h"
#include "runtime/device/cuda/Gpu.h"
#include "runtime/device/cuda/Kernels.h"
#include "runtime/device/cuda/Regions.h"
#include "runtime/program/Abi.h"

#include <memory>

namespace vcc::runtime::cuda {

/// Whether all ranks have to run a launch together.
bool isBetweenRanks(const VccLaunch &launch);

class Enqueued {
public:
  virtual ~Enqueued() = default;
  virtual void enqueue(Stream stream) = 0;
};

std::unique_ptr<Enqueued> makeGrid(const VccLaunch &launch, const Gpu &gpu, const Regions &regions, Kernels &kernels);
/// Between all ranks; a copy where nothing joins them.
std::unique_ptr<Enqueued> makeBetweenRanks(const VccLaunch &launch, const Gpu &gpu, const Regions &regions, GpuRanks *ranks);
/// Fills and copies.
std::unique_ptr<Enqueued> makeMove(const VccLaunch &launch, const Gpu &gpu, const Regions &regions);

} // namespace vcc::runtime::cuda
#endif
