// SPDX-License-Identifier: Apache-2.0
//
// Numbers that a graph takes by value are read on the host when a call is enqueued; a captured call keeps them.
#include "runtime/device/cuda/Attentions.h"

#include "runtime/device/LaunchFaults.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <bit>
#include <limits>
#include <optional>
#include <vector>

namespace vcc::runtime::cuda {

namespace {

/// NVIDIA's own frontend refuses attention by 9.10.0 and 9.10.1 for what they do wrong, and asks those before them in other words.
constexpr size_t LeastVersion = 91002;

/// Up to this version NVIDIA's frontend gives a gradient over keys that do not fill the last 128 the lengths of all samples, where none were
/// asked for: without them the library counts keys that are not there.
constexpr size_t LastWithoutKeyBounds = 91500;
constexpr int64_t KeysTogether = 128;

/// Of the workspace: where an allocation of its own would begin, too.
constexpr uint64_t Alignment = 256;

std::string textOf(size_t version) { return fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100); }

/// Which operand of the graph each buffer of a launch is; lengths, starts and workspace follow.
constexpr AttentionOperand Forward[] = {OperandQ, OperandK, OperandV, OperandOut, OperandLse};
constexpr AttentionOperand Backward[] = {OperandQ, OperandK, OperandV, OperandOut, OperandLse, OperandDout, OperandDq, OperandDk, OperandDv};

AttentionShape shapeOf(const VccLaunch &launch, bool lengths) {
  const int64_t *ints = launch.ints;
  AttentionShape shape{ints[VCC_ATTENTION_B], ints[VCC_ATTENTION_SQ], ints[VCC_ATTENTION_SK], ints[VCC_ATTENTION_H], ints[VCC_ATTENTION_G],
                       ints[VCC_ATTENTION_D], ints[VCC_ATTENTION_CAUSAL] != 0, lengths, launch.kind == VCC_LAUNCH_ATTENTION_GRAD,
                       launch.buffers[0].element == VCC_ELEMENT_F16};
  for (int64_t size : {shape.b, shape.sq, shape.sk, shape.h, shape.g, shape.d})
    if (size < 1 || size > std::numeric_limits<int32_t>::max())
      failLaunch(launch, fmt::format("has an attention with a dimension of {}", size));
  if (shape.h % shape.g || shape.d % 8)
    failLaunch(launch, fmt::format("has {} query heads to {} key heads of size {}, which cuDNN cannot", shape.h, shape.g, shape.d));
  return shape;
}

} // namespace

class AttentionLaunch final : public Enqueued {
public:
  AttentionLaunch(const VccLaunch &launch, Attentions &attentions, const Regions &regions) : A(attentions), Name(launch.name ? launch.name : "?") {
    bool grad = launch.kind == VCC_LAUNCH_ATTENTION_GRAD;
    uint64_t named = grad ? std::size(Backward) : std::size(Forward);
    checkCounts(launch, named + 3, VCC_ATTENTION_INTS);
    const VccBuffer &lengths = launch.buffers[named], &starts = launch.buffers[named + 1], &workspace = launch.buffers[named + 2];
    if (starts.region != VCC_REGION_NONE)
      failLaunch(launch, "has rows of several sequences, where a call of cuDNN needs a row for each");
    AttentionShape shape = shapeOf(launch, lengths.region != VCC_REGION_NONE);
    for (uint64_t i = 0; i < named; ++i) {
      AttentionOperand operand = grad ? Backward[i] : Forward[i];
      uint32_t bytes = operand == OperandLse ? 4 : 2, element = launch.buffers[i].element;
      if (vcc_element_bytes(element) != bytes)
        failLaunch(launch, fmt::format("has an operand of {} bytes an element where cuDNN's attention takes {}", vcc_element_bytes(element), bytes));
      if (bytes == 2 && (element == VCC_ELEMENT_F16) != shape.half)
        failLaunch(launch, "has operands of bf16 and of f16, which cuDNN's attention takes not together");
      At[operand] = regions.resolve(launch.buffers[i]);
    }
    KeyBytes = uint64_t(shape.b * shape.sk * shape.g * shape.d) * 2;
    if (shape.lengths && grad) // whether the library writes them is not said
      Cleared = {OperandDk, OperandDv};
    if (shape.lengths)
      At[OperandLengths] = regions.resolve(lengths);
    else if (grad && shape.sk % KeysTogether && A.Api.version() <= LastWithoutKeyBounds)
      shape.lengths = true, At[OperandLengths] = A.counts(shape.b, shape.sk);
    if (shape.lengths)
      At[OperandQueries] = A.counts(shape.b, shape.sq);
    uint64_t declared = uint64_t(launch.ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD] * launch.ints[VCC_ATTENTION_MAX_THREADS]);
    uint64_t sums = grad ? uint64_t(shape.b * shape.h * shape.sq) * sizeof(float) : 0, taken = sums + Alignment;
    if (declared < taken || !regions.resolve(workspace) || workspace.offset + declared > regions.size(VccRegion(workspace.region)))
      failLaunch(launch, fmt::format("declares {} bytes of workspace, which are too few or not there", declared));
    At[OperandRowSums] = regions.resolve(workspace);
    Workspace = (At[OperandRowSums] + taken - 1) / Alignment * Alignment;
    for (const auto &[operand, address] : At)
      if (address % 16)
        failLaunch(launch, "has an operand that does not begin at a multiple of 16 bytes");
    Scale = std::bit_cast<float>(int32_t(launch.ints[VCC_ATTENTION_SCALE_BITS]));
    QueryCount = int32_t(shape.sq), KeyCount = int32_t(shape.sk);
    guarded([&] {
      Plan = &A.planFor(shape, declared - taken);
      pack();
    });
  }

  void enqueue(Stream stream) override {
    for (AttentionOperand operand : Cleared)
      A.Device.check(A.Device.api().fill(At[operand], 0, KeyBytes, stream), "clear the gradients of keys that do not count");
    guarded([&] {
      A.use(stream);
      checkAttention(A.Api, A.Api.execute(A.Handle, Plan->plan().get(), Operands->get()), "enqueue");
    });
  }

private:
  template <typename Act> void guarded(Act act) const {
    try {
      act();
    } catch (const AttentionFault &fault) {
      A.fail(fault, fmt::format("attention of `{}`", Name));
    }
  }

  void *pointer(int64_t operand) {
    switch (operand) {
    case OperandScale:
      return &Scale;
    case OperandNothing:
      return &Nothing;
    case OperandOne:
      return &One;
    case OperandQueryCount:
      return &QueryCount;
    case OperandKeyCount:
      return &KeyCount;
    default:
      return reinterpret_cast<void *>(At.at(AttentionOperand(operand)));
    }
  }

  void pack() {
    std::vector<int64_t> names = Plan->operands();
    std::vector<void *> pointers;
    for (int64_t name : names)
      pointers.push_back(pointer(name));
    Operands.emplace(A.Api, PartOperands);
    Operands->set(OperandNames, ValueInt64, int64_t(names.size()), names.data());
    Operands->set(OperandPointers, ValuePointer, int64_t(pointers.size()), pointers.data());
    Operands->set(OperandWorkspace, ValuePointer, reinterpret_cast<void *>(Workspace));
    Operands->finish();
  }

  Attentions &A;
  std::string Name;
  std::map<AttentionOperand, Address> At;
  std::vector<AttentionOperand> Cleared;
  uint64_t KeyBytes = 0;
  Address Workspace = 0;
  float Scale = 1, Nothing = -std::numeric_limits<float>::infinity(), One = 1;
  int32_t QueryCount = 0, KeyCount = 0;
  const AttentionPlan *Plan = nullptr;
  std::optional<Part> Operands;
};

Attentions::Attentions(const AttentionApi &api, const Gpu &gpu) : Api(api), Device(gpu) {
  if (Api.version() < LeastVersion)
    throw Failure(Exit::Machine, fmt::format("attention needs {} or newer, but {} was found", textOf(LeastVersion), version()),
                  "pip install nvidia-cudnn-cu13 (for drivers of R580 or newer; nvidia-cudnn-cu12 for older ones), and name its folder by --cuda-libs; "
                  "compiled with --attention=split the program does without");
  try {
    checkAttention(Api, Api.create(&Handle), "start");
  } catch (const AttentionFault &fault) {
    fail(fault, "the library for attention");
  }
}

Attentions::~Attentions() {
  Plans.clear();
  if (Handle)
    Api.destroy(Handle);
}

const AttentionPlan &Attentions::planFor(const AttentionShape &shape, uint64_t workspace) {
  std::pair key(shape, workspace);
  if (auto known = Plans.find(key); known != Plans.end())
    return known->second;
  return Plans.try_emplace(key, Api, shape, AttentionPlace{Handle, nullptr}, workspace).first->second;
}

Address Attentions::counts(int64_t samples, int64_t count) {
  Owned<Address> &known = Counts[{samples, count}];
  if (!known) {
    const std::vector<int32_t> counts(static_cast<size_t>(samples), static_cast<int32_t>(count));
    Owned<Address> made = Device.allocate(counts.size() * sizeof(int32_t), "the lengths of an attention's samples");
    Device.check(Device.api().copyToDevice(made.get(), counts.data(), counts.size() * sizeof(int32_t), Device.compute()), "copy lengths to the GPU");
    Device.check(Device.api().synchronizeStream(Device.compute()), "copy lengths to the GPU");
    known = std::move(made);
  }
  return known.get();
}

void Attentions::use(Stream stream) {
  if (stream == Used)
    return;
  checkAttention(Api, Api.setStream(Handle, stream), "choose a stream");
  Used = stream;
}

void Attentions::fail(const AttentionFault &fault, const std::string &where) const {
  std::string what = fmt::format("{}: {} could not {} ({}, {}){}{}", where, version(), fault.doing, Api.resultText(fault.result), int(fault.result),
                                 fault.detail.empty() ? "" : ": ", fault.detail);
  switch (fault.result) {
  case AttentionHostMemory:
  case AttentionGpuMemory:
    throw Failure(Exit::Memory, what, "cuDNN's kernels need some memory beside the program's: nobody else may be on the GPU");
  case AttentionMixedVersions:
  case AttentionPartMissing:
    throw Failure(Exit::Machine, what, "libcudnn.so.9 and its parts (libcudnn_graph.so.9 and the others) must lie in one folder and be of one version; "
                                       "LD_LIBRARY_PATH may name a folder with others");
  case AttentionNoPrerequisite:
    throw Failure(Exit::Machine, what, "cuDNN compiles its kernels by libnvrtc, of the CUDA version that it is for: pip install nvidia-cuda-nvrtc beside "
                                       "it, or put the toolkit's folder into LD_LIBRARY_PATH");
  case AttentionNotStarted:
  case AttentionOldDriver:
  case AttentionOldRuntime:
  case AttentionOtherChip:
    throw Failure(Exit::Machine, what, fmt::format("this cuDNN must fit the driver (CUDA {}.{}) and the {}: take nvidia-cudnn-cu13 for drivers of R580 or "
                                                   "newer, nvidia-cudnn-cu12 for older ones",
                                                   Device.driverVersion() / 1000, Device.driverVersion() % 1000 / 10, Device.name()));
  default:
    if (fault.result / 1000 == AttentionNotSupported / 1000)
      throw Failure(Exit::Machine, what, "another version of cuDNN may do it; compiled with --attention=split the program needs none");
    Device.failIfLost(fmt::format("{} {}", fault.doing, where));
    throw Failure(Exit::Internal, what, "compiled with --attention=split the program does without cuDNN");
  }
}

std::string Attentions::version() const { return textOf(Api.version()); }

std::unique_ptr<Enqueued> Attentions::make(const VccLaunch &launch, const Regions &regions) {
  return std::make_unique<AttentionLaunch>(launch, *this, regions);
}

} // namespace vcc::runtime::cuda
