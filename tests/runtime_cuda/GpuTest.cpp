// SPDX-License-Identifier: Apache-2.0
//
// Opening a GPU, choosing the form of its kernels, and what faults are called.
#include "runtime/device/cuda/DeviceRates.h"
#include "runtime/device/cuda/Enqueue.h"
#include "runtime/device/cuda/Gpu.h"
#include "runtime/device/cuda/Kernels.h"
#include "runtime/device/cuda/Libraries.h"
#include "runtime/device/cuda/Transfers.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime/Told.h"
#include "tests/runtime_cuda/GpuToy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace vcc::runtime::cuda {
namespace {

using test::told;
using testing::ElementsAre;
using testing::HasSubstr;

std::string opened(FakeGpu &gpu) {
  std::string text = told([&] { Gpu device(gpu.driver()); });
  EXPECT_EQ(gpu.left(), 0);
  return text;
}

TEST(Gpu, TellsWhatItLacks) {
  FakeGpu old;
  old.version = 11040;
  EXPECT_THAT(opened(old), HasSubstr("6 the NVIDIA driver is of CUDA 11.4, but 12.0 is needed at least"));
  FakeGpu none;
  none.count = 0;
  EXPECT_THAT(opened(none), HasSubstr("6 this machine shows no NVIDIA GPU"));
  FakeGpu turing;
  turing.major = 7, turing.minor = 5;
  EXPECT_THAT(opened(turing), HasSubstr("6 the Fake GPU has compute capability 7.5, but this program's kernels need 8.0"));
  FakeGpu right;
  EXPECT_EQ(opened(right), "nothing");
}

TEST(Gpu, TakesACubinOfItsChipElsePtx) {
  auto compiled = [](int major, int minor, Result cubins) {
    FakeGpu gpu;
    test::teach(gpu);
    gpu.major = major, gpu.minor = minor, gpu.cubins = cubins;
    Gpu device(gpu.driver());
    Kernels kernels(device, test::gpuToy().code);
    kernels.at(0), kernels.at(2), kernels.at(0);
    EXPECT_EQ(kernels.modulesLoaded(), 1u); // both are in the first one
    EXPECT_EQ(gpu.countOf("kernel"), 2);
    return kernels.modulesCompiled();
  };
  EXPECT_EQ(compiled(9, 0, Success), 0u);
  EXPECT_EQ(compiled(8, 0, Success), 0u);
  EXPECT_EQ(compiled(8, 6, Success), 1u);        // no cubin of this chip
  EXPECT_EQ(compiled(10, 0, Success), 1u);
  for (Result older : {NoBinaryForGpu, InvalidImage, UnsupportedPtxVersion, Result(300)})
    EXPECT_EQ(compiled(9, 0, older), 1u) << "an older driver";
}

TEST(Gpu, TellsWhyKernelsCannotBeLoaded) {
  FakeGpu gpu;
  gpu.major = 8, gpu.minor = 6; // PTX alone
  test::teach(gpu);
  Gpu device(gpu.driver());
  Kernels kernels(device, test::gpuToy().code);
  for (auto [result, what] : {std::pair(OutOfMemory, "4 the GPU has no memory left"), std::pair(UnsupportedPtxVersion, "6 the driver is too old"),
                              std::pair(JitCompilerNotFound, "6 this GPU needs kernels compiled by the driver"),
                              std::pair(EccUncorrectable, "6 the GPU's memory has an error that ECC cannot correct"),
                              std::pair(Result(1), "70 could not load kernels onto the Fake GPU: made to fail")}) {
    gpu.failAt = int64_t(gpu.calls.size()), gpu.failWith = result;
    EXPECT_THAT(told([&] { kernels.at(1); }), HasSubstr(what));
  }
}

TEST(Gpu, EveryFaultOfTheHardwareEndsAsSuch) {
  FakeGpu gpu;
  Gpu device(gpu.driver());
  for (Result result : {StubLibrary, DeviceUnavailable, NoDevice, EccUncorrectable, NvlinkUncorrectable, Contained, LaunchTimeout, SystemNotReady,
                        SystemDriverMismatch, CompatNotSupported, Unknown})
    EXPECT_THAT(told([&] { device.fail(result, "compute"); }), testing::StartsWith("6 ")) << result;
  for (Result result : {IllegalAddress, MisalignedAddress, IllegalInstruction, LaunchFailed}) {
    std::string text = told([&] { device.fail(result, "compute"); });
    EXPECT_THAT(text, testing::StartsWith("70 ")) << result;
    EXPECT_THAT(text, HasSubstr("run again to go on from the newest checkpoint")) << result;
  }
}

TEST(Gpu, LibrariesAreLookedForInOrder) {
  test::Scratch scratch;
  std::string home = scratch.path("cuda"), environment = scratch.path("venv");
  for (const char *package : {"cudnn", "cu13"})
    std::filesystem::create_directories(environment + "/lib/python3.11/site-packages/nvidia/" + package + "/lib");
  setenv("CUDA_HOME", home.c_str(), 1), setenv("VIRTUAL_ENV", environment.c_str(), 1), unsetenv("CONDA_PREFIX");
  std::string packages = environment + "/lib/python3.11/site-packages/nvidia/";
  std::string path = std::getenv("PATH");
  setenv("PATH", scratch.path("none").c_str(), 1);
  EXPECT_THAT(libraryFolders(""), ElementsAre(home + "/lib64", home + "/lib", "", "/usr/local/cuda/lib64", packages + "cu13/lib", packages + "cudnn/lib"));
  EXPECT_THAT(libraryFolders("/opt/there"), ElementsAre("/opt/there"));
  EXPECT_THAT(libraryFolders("/opt/there::/opt/here:/opt/there"), ElementsAre("/opt/there", "/opt/here"));
  EXPECT_THAT(libraryFolders(packages.substr(0, packages.size() - 1)),
              ElementsAre(packages.substr(0, packages.size() - 1), packages + "cu13/lib", packages + "cudnn/lib"));
  // The python3 that a shell would take, though its environment is not active: a link into it, from which a link leads on.
  unsetenv("VIRTUAL_ENV");
  std::string system = scratch.path("system"), usual = scratch.path("bin");
  for (const std::string &folder : {environment + "/bin", system + "/bin", usual, system + "/local/lib/python3.11/dist-packages/nvidia/nccl/lib"})
    std::filesystem::create_directories(folder);
  std::ofstream(system + "/bin/python3.11") << "";
  std::filesystem::create_symlink("python3.11", system + "/bin/python3");
  std::filesystem::create_symlink("../../system/bin/python3", environment + "/bin/python3");
  std::filesystem::create_symlink(environment + "/bin/python3", usual + "/python3");
  setenv("PATH", (scratch.path("none") + "::" + usual + ":" + system + "/bin").c_str(), 1);
  EXPECT_THAT(libraryFolders(""), ElementsAre(home + "/lib64", home + "/lib", "", "/usr/local/cuda/lib64", packages + "cu13/lib", packages + "cudnn/lib",
                                              system + "/local/lib/python3.11/dist-packages/nvidia/nccl/lib"));
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(told([&] { loadProducts(scratch.path("none")); }), HasSubstr("6 matrix products need libcublasLt.so.13 or .12"));
  EXPECT_THAT(told([&] { loadCollectives(scratch.path("none")); }), HasSubstr("6 several ranks on GPUs need libnccl.so.2, which cannot be loaded"));
  unsetenv("CUDA_HOME"), unsetenv("VIRTUAL_ENV");
}

TEST(Gpu, RatesAreThoseOfTheTable) {
  auto rates = [](const char *name, const char *precision) {
    MachineRates found = ratesOf(name, precision);
    return std::pair(found.flops / 1e12, found.bytes / 1e12);
  };
  EXPECT_EQ(rates("NVIDIA H200", "bf16"), std::pair(989.4, 4.8));
  EXPECT_EQ(rates("NVIDIA H200", "tf32"), std::pair(494.7, 4.8));
  EXPECT_EQ(rates("NVIDIA H100 80GB HBM3", "f32"), std::pair(66.9, 3.35));
  EXPECT_EQ(rates("NVIDIA H100 PCIe", "bf16"), std::pair(756.0, 2.0));
  EXPECT_EQ(rates("NVIDIA A100-SXM4-40GB", "bf16"), std::pair(312.0, 1.555));
  EXPECT_EQ(rates("NVIDIA A100-SXM4-80GB", "bf16"), std::pair(312.0, 2.039));
  EXPECT_EQ(rates("NVIDIA GeForce RTX 4090", "bf16"), std::pair(165.2, 1.008));
  EXPECT_EQ(rates("NVIDIA GeForce RTX 4080", "bf16"), std::pair(0.0, 0.0));
  EXPECT_EQ(ratesOf("Some GPU", "bf16").floor(1000000, 1000000), 0.0);
}

TEST(Gpu, RegionsHoldConstantsAndZeros) {
  const uint32_t constants[] = {3, 1, 4, 1};
  VccStage stage{};
  stage.name = "regions", stage.weights_bytes = 100, stage.state_bytes = 300, stage.arena_bytes = 700, stage.io_bytes = 50;
  stage.constants = constants, stage.constant_bytes = sizeof constants;
  FakeGpu gpu;
  Gpu device(gpu.driver());
  Regions regions(device, stage);
  EXPECT_EQ(gpu.countOf("allocate"), 2);
  EXPECT_EQ(gpu.bytes(), regions.bytes());
  for (VccRegion region : {VCC_REGION_WEIGHTS, VCC_REGION_STATE, VCC_REGION_ARENA, VCC_REGION_IO}) {
    auto *bytes = reinterpret_cast<const char *>(regions.at(region, 0));
    EXPECT_TRUE(std::all_of(bytes, bytes + regions.size(region), [](char byte) { return byte == 0; })) << region;
    EXPECT_EQ(regions.at(region, 0) % 256, 0u);
  }
  EXPECT_EQ(std::memcmp(reinterpret_cast<const void *>(regions.at(VCC_REGION_CONSTANT, 0)), constants, sizeof constants), 0);
  EXPECT_EQ(regions.resolve({}), 0u);
  EXPECT_EQ(regions.resolve({VCC_REGION_ARENA, 4, 64}), regions.at(VCC_REGION_ARENA, 64));
  EXPECT_THAT(told([&] { regions.resolve({VCC_REGION_IO, 4, 51}); }), HasSubstr("70 a launch uses byte 51 of region 4, which has 50"));
}

TEST(Gpu, TheHostGivesARegionBack) {
  VccStage stage{};
  stage.weights_bytes = 1 << 20, stage.state_bytes = 64;
  StageMemory host(stage, StageMemory::Use::Image);
  std::memset(host.base(VCC_REGION_WEIGHTS), 7, stage.weights_bytes);
  std::memset(host.base(VCC_REGION_STATE), 7, stage.state_bytes);
  host.release(VCC_REGION_WEIGHTS);
  EXPECT_EQ(*host.at(VCC_REGION_WEIGHTS, 0), std::byte(0));
  EXPECT_EQ(*host.at(VCC_REGION_WEIGHTS, stage.weights_bytes - 1), std::byte(0));
  EXPECT_EQ(*host.at(VCC_REGION_STATE, 63), std::byte(7));
}

TEST(Gpu, MovesStayWithinTheirRegions) {
  VccStage stage{};
  stage.name = "moves", stage.arena_bytes = 256;
  FakeGpu gpu;
  Gpu device(gpu.driver());
  Regions regions(device, stage);
  auto *arena = reinterpret_cast<unsigned char *>(regions.at(VCC_REGION_ARENA, 0));
  for (int i = 0; i < 256; ++i)
    arena[i] = static_cast<unsigned char>(i);
  VccBuffer buffers[] = {{VCC_REGION_ARENA, 1, 128}, {VCC_REGION_ARENA, 1, 16}};
  auto moved = [&](uint32_t kind, std::vector<int64_t> ints) {
    VccLaunch launch{};
    launch.kind = kind, launch.name = "move", launch.buffers = buffers, launch.buffer_count = kind == VCC_LAUNCH_FILL ? 1 : 2;
    launch.ints = ints.data(), launch.int_count = ints.size();
    return told([&] {
      (isBetweenRanks(launch) ? makeBetweenRanks(launch, device, regions, nullptr) : makeMove(launch, device, regions))->enqueue(device.compute());
      device.check(gpu.driver().synchronizeStream(device.compute()), "move");
    });
  };
  EXPECT_EQ(moved(VCC_LAUNCH_COPY, {100}), "nothing");
  EXPECT_EQ(arena[128 + 99], 16 + 99);
  EXPECT_EQ(arena[128 + 100], 228);
  EXPECT_EQ(moved(VCC_LAUNCH_FILL, {8}), "nothing");
  EXPECT_EQ(arena[128 + 7], 0);
  EXPECT_EQ(arena[128 + 8], 24);
  EXPECT_EQ(moved(VCC_LAUNCH_GATHER, {1, 8}), "nothing"); // one rank, and nothing that joins any
  EXPECT_EQ(arena[128 + 7], 23);
  EXPECT_THAT(moved(VCC_LAUNCH_REDUCE_SCATTER, {2, 8}), HasSubstr("70 launch `move` joins 2 ranks"));
  EXPECT_THAT(moved(VCC_LAUNCH_COPY, {129}), HasSubstr("70 launch `move` moves 129 bytes beyond the end"));
}

TEST(Gpu, PortsBecomeSpans) {
  manifest::Port a, b, c, empty;
  a.shape = {16}, a.offset = 64;                    // ends at 128
  b.shape = {3}, b.offset = 0;                      // ends at 12, the next begins at 64
  c.shape = {2}, c.offset = 256;                    // apart
  empty.shape = {0}, empty.offset = 512;
  EXPECT_THAT(spansOf({a, b, c, empty}), ElementsAre(Span{0, 128}, Span{256, 264}));
}

} // namespace
} // namespace vcc::runtime::cuda
