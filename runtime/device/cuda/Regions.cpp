// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/Regions.h"

#include "runtime/device/cpu/Memory.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::cuda {

/// Parts begin where the driver's own allocations would.
static constexpr uint64_t Alignment = 256;

static uint64_t rounded(uint64_t bytes) { return (bytes + Alignment - 1) / Alignment * Alignment; }

static void checkFits(const Gpu &gpu, const VccStage &stage, uint64_t bytes) {
  Gpu::Memory memory = gpu.memory();
  if (bytes <= memory.left)
    return;
  std::pair<uint64_t, const char *> terms[] = {{stage.weights_bytes, "frozen weights"},
                                               {stage.state_bytes, "trained weights, gradients and moments"},
                                               {stage.arena_bytes, "activations"},
                                               {2 * stage.io_bytes, "inputs and outputs"},
                                               {WorkspaceBytes, "workspace of libraries"}};
  std::sort(std::begin(terms), std::end(terms), [](const auto &a, const auto &b) { return a.first > b.first; });
  std::string list;
  for (const auto &[size, name] : terms)
    if (size)
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", name, textOfBytes(size));
  bool activations = std::string(terms[0].second) == "activations";
  throw Failure(Exit::Memory,
                fmt::format("stage `{}` needs {} on the GPU ({}), but the {} has {} left of {}", stage.name, textOfBytes(bytes), list, gpu.name(),
                            textOfBytes(memory.left), textOfBytes(memory.total)),
                fmt::format("{}; `vcc plan` says what a recipe needs, `nvidia-smi` who else holds memory",
                            activations ? "fewer rows per batch with more accumulation, or `recompute`, needs fewer activations"
                                        : "freezing more, or a smaller model, needs less for weights"));
}

Regions::Regions(const Gpu &gpu, const VccStage &stage) {
  Size[VCC_REGION_WEIGHTS] = stage.weights_bytes, Size[VCC_REGION_STATE] = stage.state_bytes;
  Size[VCC_REGION_ARENA] = stage.arena_bytes, Size[VCC_REGION_IO] = stage.io_bytes;
  Size[VCC_REGION_CONSTANT] = stage.constant_bytes;
  uint64_t lasting = Alignment, passing = rounded(stage.io_bytes) + WorkspaceBytes;
  for (VccRegion region : {VCC_REGION_WEIGHTS, VCC_REGION_STATE, VCC_REGION_CONSTANT})
    lasting += rounded(Size[region]);
  for (VccRegion region : {VCC_REGION_ARENA, VCC_REGION_IO})
    passing += rounded(Size[region]);
  Bytes = lasting + passing;
  checkFits(gpu, stage, Bytes);
  Lasting = gpu.allocate(lasting, "weights, gradients and moments");
  Passing = gpu.allocate(passing, "activations");

  Address next = Lasting.get();
  for (VccRegion region : {VCC_REGION_WEIGHTS, VCC_REGION_STATE, VCC_REGION_CONSTANT})
    Base[region] = next, next += rounded(Size[region]);
  next = Passing.get();
  for (VccRegion region : {VCC_REGION_ARENA, VCC_REGION_IO})
    Base[region] = next, next += rounded(Size[region]);
  Waiting = next, Workspace = next + rounded(stage.io_bytes);

  const DriverApi &api = gpu.api();
  gpu.check(api.fill(Lasting.get(), 0, lasting, gpu.compute()), "clear the weights' memory");
  gpu.check(api.fill(Passing.get(), 0, passing, gpu.compute()), "clear the activations' memory");
  if (stage.constant_bytes)
    gpu.check(api.copyToDevice(Base[VCC_REGION_CONSTANT], stage.constants, stage.constant_bytes, gpu.compute()), "copy constants to the GPU");
  gpu.check(api.synchronizeStream(gpu.compute()), "prepare the GPU's memory");
}

Address Regions::resolve(const VccBuffer &buffer) const {
  if (buffer.region == VCC_REGION_NONE)
    return 0;
  if (buffer.region >= uint32_t(Count) || buffer.offset > Size[buffer.region])
    throw Failure(Exit::Internal, fmt::format("a launch uses byte {} of region {}, which has {}", buffer.offset, buffer.region,
                                              buffer.region < uint32_t(Count) ? Size[buffer.region] : 0));
  return Base[buffer.region] + buffer.offset;
}

} // namespace vcc::runtime::cuda
