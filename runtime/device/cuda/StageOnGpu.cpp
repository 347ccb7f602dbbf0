// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/StageOnGpu.h"

#include "runtime/device/LaunchFaults.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::cuda {

Products &Session::products(const std::string &folder) {
  if (!Library)
    Library = std::make_unique<Products>(Loaders.products(folder), Device);
  return *Library;
}

/// Of the function that gives the most.
static uint64_t outputBytes(const manifest::Stage &stage) {
  uint64_t most = 0;
  for (const manifest::Function &function : stage.functions) {
    uint64_t bytes = 0;
    for (const Span &span : spansOf(function.outputs))
      bytes += span.bytes();
    most = std::max(most, bytes);
  }
  return most;
}

StageOnGpu::StageOnGpu(std::shared_ptr<Session> session, const StagePlace &place)
    : Shared(std::move(session)), Stage(place.table), LibraryFolder(place.libraries), Host(place.table, StageMemory::Use::Image),
      Places(Shared->Device, place.table), Moves(Shared->Device, Places, Host, outputBytes(place.stage)), Functions(place.table.function_count) {
  for (uint64_t i = 0; i < Stage.function_count; ++i)
    Functions[i].table = &Stage.functions[i];
  for (const manifest::Function &function : place.stage.functions) {
    if (uint64_t(function.index) >= Functions.size())
      continue; // told by whoever compares manifest and table
    Functions[size_t(function.index)].inputs = spansOf(function.inputs);
    Functions[size_t(function.index)].outputs = spansOf(function.outputs);
  }
}

StageOnGpu::~StageOnGpu() {
  // What is given back may still be in use; where this fails, so has the run.
  Shared->Device.api().synchronizeStream(Shared->Device.copies());
  Shared->Device.api().synchronizeStream(Shared->Device.compute());
}

std::unique_ptr<Enqueued> StageOnGpu::make(const VccLaunch &launch) {
  switch (launch.kind) {
  case VCC_LAUNCH_GRID:
    return makeGrid(launch, Shared->Device, Places, Shared->Code);
  case VCC_LAUNCH_GEMM:
    return Shared->products(LibraryFolder).make(launch, Places);
  case VCC_LAUNCH_FILL:
  case VCC_LAUNCH_COPY:
  case VCC_LAUNCH_GATHER:
  case VCC_LAUNCH_REDUCE_SCATTER:
    return makeMove(launch, Shared->Device, Places);
  default:
    failLaunch(launch, fmt::format("is of kind {}, which has no form for a GPU", launch.kind));
  }
}

void StageOnGpu::enqueue(Function &function) {
  for (auto &launch : function.launches)
    launch->enqueue(Shared->Device.compute());
}

void StageOnGpu::capture(Function &function) {
  const Gpu &gpu = Shared->Device;
  const DriverApi &api = gpu.api();
  gpu.check(api.beginCapture(gpu.compute(), CaptureThreadLocal), "begin to capture a graph");
  Graph captured = nullptr;
  try {
    enqueue(function);
  } catch (...) { // the stream must not stay in capture
    if (api.endCapture(gpu.compute(), &captured) == Success && captured)
      api.destroyGraph(captured);
    throw;
  }
  gpu.check(api.endCapture(gpu.compute(), &captured), "capture a graph");
  Owned<Graph> graph(captured, api.destroyGraph);
  GraphExec exec = nullptr;
  gpu.check(api.instantiate(&exec, graph.get(), 0), "make a captured graph ready");
  function.graph = Owned<GraphExec>(exec, api.destroyExec);
}

void StageOnGpu::run(int64_t index) {
  if (index < 0 || uint64_t(index) >= Functions.size())
    throw Failure(Exit::Internal,
                  fmt::format("stage `{}` has {} functions, but function {} is called", Stage.name, Functions.size(), index));
  Function &function = Functions[size_t(index)];
  if (function.launches.size() != function.table->launch_count) {
    function.launches.clear();
    for (uint64_t i = 0; i < function.table->launch_count; ++i)
      function.launches.push_back(make(function.table->launches[i]));
  }
  Moves.give(function.inputs);
  if (!function.ran)
    enqueue(function);
  else if (!function.launches.empty()) {
    if (!function.graph)
      capture(function);
    const Gpu &gpu = Shared->Device;
    if (Result result = gpu.api().launchGraph(function.graph.get(), gpu.compute()); result != Success)
      gpu.fail(result, fmt::format("launch the graph of `{}`", function.table->name));
  }
  function.ran = true;
  Moves.take(function.outputs);
}

void StageOnGpu::fetch(VccRegion region, uint64_t offset, uint64_t bytes) {
  if (!bytes)
    return;
  const Gpu &gpu = Shared->Device;
  gpu.check(gpu.api().copyToHost(Host.at(region, offset), Places.at(region, offset), bytes, gpu.compute()), "copy weights from the GPU");
  gpu.check(gpu.api().synchronizeStream(gpu.compute()), "copy weights from the GPU");
}

void StageOnGpu::publish(VccRegion region, uint64_t offset, uint64_t bytes) {
  if (!bytes)
    return;
  const Gpu &gpu = Shared->Device;
  gpu.check(gpu.api().copyToDevice(Places.at(region, offset), Host.at(region, offset), bytes, gpu.compute()), "copy weights to the GPU");
  gpu.check(gpu.api().synchronizeStream(gpu.compute()), "copy weights to the GPU");
}

std::vector<std::string> StageOnGpu::account() const {
  const Gpu &gpu = Shared->Device;
  Gpu::Memory memory = gpu.memory();
  uint64_t others = memory.total - memory.left - std::min<uint64_t>(memory.total - memory.left, bytes());
  std::string library = Shared->Library ? ", " + Shared->Library->version() : std::string();
  std::string compiled = Shared->Code.modulesCompiled() ? ", kernels compiled by the driver" : "";
  return {fmt::format("GPU: {} (sm_{}), driver of CUDA {}.{}{}{}", gpu.name(), gpu.chip(), gpu.driverVersion() / 1000,
                      gpu.driverVersion() % 1000 / 10, library, compiled),
          fmt::format("GPU memory: {} weights, {} gradients and moments, {} activations, {} workspace; {} beside it (context, kernels, other "
                      "programs), {} left of {}",
                      textOfBytes(Stage.weights_bytes), textOfBytes(Stage.state_bytes), textOfBytes(Stage.arena_bytes), textOfBytes(WorkspaceBytes),
                      textOfBytes(others), textOfBytes(memory.left), textOfBytes(memory.total))};
}

[[noreturn]] static void failWalk() {
  throw Failure(Exit::Internal, "launches on a GPU are neither timed nor walked one by one");
}
void StageOnGpu::run(int64_t, LaunchTime *) { failWalk(); }
void StageOnGpu::walk(int64_t, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &) { failWalk(); }
MachineRates StageOnGpu::rates() { failWalk(); }

MakeDevice onGpu(const VccDeviceCode &code, LibraryLoaders loaders) {
  auto kept = std::make_shared<LibraryLoaders>(std::move(loaders));
  auto session = std::make_shared<std::shared_ptr<Session>>();
  return [&code, kept, session](const StagePlace &place) -> std::unique_ptr<StageDevice> {
    if (!*session)
      *session = std::make_shared<Session>(code, *kept);
    return std::make_unique<StageOnGpu>(*session, place);
  };
}

} // namespace vcc::runtime::cuda
