// SPDX-License-Identifier: Apache-2.0
//
// The toy program of tests/runtime as it would be compiled for a GPU: the same launches as grids, its kernels in two modules.
#ifndef VCC_TESTS_RUNTIME_CUDA_GPUTOY_H
#define VCC_TESTS_RUNTIME_CUDA_GPUTOY_H

#include "tests/runtime/ToyProgram.h"
#include "tests/runtime_cuda/FakeGpu.h"

namespace vcc::runtime::test {

struct GpuToy {
  const VccProgram &program;
  const VccDeviceCode &code;
};

/// Valid as long as the process lives. The first stage may be run by several ranks.
GpuToy gpuToy(const std::string &precision = "f32");

/// Gives a fake GPU the toy's kernels.
void teach(cuda::FakeGpu &gpu);

/// The same of the toy with a scaled loss.
GpuToy scaledGpuToy();
void teachScaled(cuda::FakeGpu &gpu);

} // namespace vcc::runtime::test
#endif
