// SPDX-License-Identifier: Apache-2.0
//
// Where cuDNN itself is installed: it must know every graph of ours, compile its kernels for a GPU that is described to it, and stay
// within the workspace that plans declare. No GPU is needed: kernels are not run.
#include "runtime/device/cuda/AttentionPlan.h"
#include "runtime/device/cuda/Libraries.h"
#include "runtime/program/Abi.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <dlfcn.h>

#include <string>
#include <vector>

namespace vcc::runtime::cuda {
namespace {

/// As the driver would tell it: numbers from NVIDIA's tables of compute capabilities and data sheets.
std::string described(int chip, int processors, int sharedMemory, const char *name) {
  return fmt::format(
      R"({{"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"deviceVer":{},"driverVer":13000,"cudaDriverVer":13000,)"
      R"("regsPerBlock":65536,"multiProcessorCount":{},"smCountOrigin":0,"smClockRateKHz":1410000,"memClockRateKHz":1593000,"l2CacheSize":41943040,)"
      R"("warpSize":32,"maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":1024,)"
      R"("oversizedSharedMemoryPerBlock":0,"maxRegistersPerSM":65536,"pciDeviceId":0,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,)"
      R"("maxThreadsPerSM":2048,"isTccDriver":0,"supportCoopLaunch":1,"totalGlobalMem":85000000000,"cudaDeviceId":0,"deviceName":"{}"}})",
      chip, processors, sharedMemory, name);
}

const AttentionApi *library() {
  static const AttentionApi *Found = []() -> const AttentionApi * {
    // Under the driver's name, so that cuDNN finds it loaded.
    if (!dlopen(VCC_DRIVER_STAND_IN, RTLD_NOW | RTLD_GLOBAL))
      throw std::runtime_error(dlerror());
    try {
      return &loadAttention("");
    } catch (const Failure &) {
      return nullptr;
    }
  }();
  return Found;
}

class LibraryGraphs : public testing::TestWithParam<AttentionShape> {};

TEST_P(LibraryGraphs, AreKnownAndStayWithinTheirWorkspace) {
  const AttentionApi *api = library();
  if (!api || api->version() < 90800)
    GTEST_SKIP() << "no cuDNN that plans without a GPU (9.8 or newer) is installed";
  for (const std::string &text : {described(900, 132, 232448, "NVIDIA H200"), described(800, 108, 166912, "NVIDIA A100")})
    for (bool backward : {false, true}) {
      AttentionShape shape = GetParam();
      shape.backward = backward;
      auto most = uint64_t(vcc_attention_device_bytes(shape.b, shape.sq, shape.sk, shape.h, shape.g, shape.d, backward));
      uint64_t sums = backward ? uint64_t(shape.b * shape.h * shape.sq) * 4 : 0;
      try {
        Part device(*api, PartDevice);
        device.set(DeviceText, ValueChar, int64_t(text.size()), text.data()).finish();
        AttentionPlan plan(*api, shape, {nullptr, &device}, most);
        EXPECT_LE(plan.workspace() + sums, most);
      } catch (const AttentionFault &fault) {
        ADD_FAILURE() << text << (backward ? " backward: " : " forward: ") << fault.result << ", " << fault.doing << ": " << fault.detail;
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Attention, LibraryGraphs,
                         testing::Values(AttentionShape{4, 512, 512, 32, 32, 128, true, false, false},  // a language model
                                         AttentionShape{4, 608, 608, 32, 8, 128, true, true, false},    // fewer key heads, padded
                                         AttentionShape{16, 300, 300, 12, 12, 96, true, true, false},   // samples of packed rows
                                         AttentionShape{2, 784, 784, 16, 16, 64, false, false, false},  // a vision encoder
                                         AttentionShape{4, 96, 785, 12, 12, 64, false, true, false},    // queries on another's keys
                                         AttentionShape{2, 30, 100, 12, 12, 96, true, false, false},    // the last of many
                                         AttentionShape{2, 30, 100, 12, 12, 96, true, true, false},     // with bounds
                                         AttentionShape{2, 784, 784, 16, 16, 64, false, true, false},
                                         AttentionShape{1, 1, 3, 2, 1, 8, false, false, false}));

} // namespace
} // namespace vcc::runtime::cuda
