// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/StageOnGpu.h"

#include "runtime/collectives/World.h"
#include "runtime/device/LaunchFaults.h"
#include "runtime/device/cuda/DeviceRates.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

namespace vcc::runtime::cuda {

Products &Session::products(const std::string &folder) {
  if (!Library)
    Library = std::make_unique<Products>(Loaders.products(folder), Device);
  return *Library;
}

GpuRanks *Session::ranks(const StagePlace &place) {
  if (!place.stage.parallel || !place.world || !place.world->isJoined())
    return nullptr;
  if (!Joined)
    Joined = std::make_unique<GpuRanks>(Loaders.collectives(place.libraries), Device, *place.world);
  return Joined.get();
}

Attentions &Session::attentions(const std::string &folder) {
  if (!Attention)
    Attention = std::make_unique<Attentions>(Loaders.attention(folder), Device);
  return *Attention;
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
    : Shared(std::move(session)), Stage(place.table), LibraryFolder(place.libraries), Precision(place.stage.precision),
      Way{place.stage.precision == "tf32", place.measureProducts}, Host(place.table, StageMemory::Use::Image),
      Places(Shared->Device, place.table), Moves(Shared->Device, Places, Host, outputBytes(place.stage)), Functions(place.table.function_count),
      Ranks(Shared->ranks(place)) {
  if (Ranks)
    Sums = std::make_unique<GradientSums>(place.stage, Places, *Ranks);
  for (uint64_t i = 0; i < Stage.function_count; ++i)
    Functions[i].table = &Stage.functions[i];
  for (const manifest::Function &function : place.stage.functions) {
    if (uint64_t(function.index) >= Functions.size())
      continue; // told by whoever compares manifest and table
    Functions[size_t(function.index)].inputs = spansOf(function.inputs);
    Functions[size_t(function.index)].outputs = spansOf(function.outputs);
  }
  // A library that is missing is told of now, and not when the first step comes to it.
  for (const Function &function : Functions)
    for (uint64_t i = 0; i < function.table->launch_count; ++i) {
      uint32_t kind = function.table->launches[i].kind;
      if (kind == VCC_LAUNCH_GEMM)
        Shared->products(LibraryFolder);
      else if (kind == VCC_LAUNCH_ATTENTION || kind == VCC_LAUNCH_ATTENTION_GRAD)
        Shared->attentions(LibraryFolder);
    }
}

StageOnGpu::~StageOnGpu() {
  // What others will never take part in would never end. NCCL ends nothing before all graphs that hold calls of its own are gone.
  if (Ranks && std::uncaught_exceptions() > 0) {
    for (Function &function : Functions)
      for (auto &forms : function.forms)
        for (Function::Form &form : forms)
          form.graph = {};
    Ranks->abort();
  }
  // What is given back may still be in use; where this fails, so has the run.
  Shared->Device.api().synchronizeStream(Shared->Device.copies());
  Shared->Device.api().synchronizeStream(Shared->Device.compute());
}

std::unique_ptr<Enqueued> StageOnGpu::make(const VccLaunch &launch) {
  switch (launch.kind) {
  case VCC_LAUNCH_GRID:
    return makeGrid(launch, Shared->Device, Places, Shared->Code);
  case VCC_LAUNCH_GEMM:
    return Shared->products(LibraryFolder).make(launch, Places, Way);
  case VCC_LAUNCH_ATTENTION:
  case VCC_LAUNCH_ATTENTION_GRAD:
    return Shared->attentions(LibraryFolder).make(launch, Places);
  case VCC_LAUNCH_GATHER:
  case VCC_LAUNCH_REDUCE_SCATTER:
    return makeBetweenRanks(launch, Shared->Device, Places, Ranks);
  case VCC_LAUNCH_FILL:
  case VCC_LAUNCH_COPY:
    return makeMove(launch, Shared->Device, Places);
  default:
    failLaunch(launch, fmt::format("is of kind {}, which has no form for a GPU", launch.kind));
  }
}

void StageOnGpu::prepare(Function &function) {
  if (function.launches.size() == function.table->launch_count)
    return;
  function.launches.clear();
  for (uint64_t i = 0; i < function.table->launch_count; ++i)
    function.launches.push_back(make(function.table->launches[i]));
}

void StageOnGpu::enqueue(Function &function, const Manner &manner) {
  const Gpu &gpu = Shared->Device;
  auto behind = [&](size_t count) {
    // In a graph an event would only order, unless it is said to be one that is asked for its time.
    if (manner.timed)
      gpu.check(gpu.api().recordTimer(function.timers[count].get(), gpu.compute(), manner.captured ? EventRecordExternal : 0), "take a launch's time");
    if (manner.sums)
      Sums->launched(*function.table, count);
  };
  behind(0);
  for (size_t i = 0; i < function.launches.size(); ++i) {
    function.launches[i]->enqueue(gpu.compute());
    behind(i + 1);
  }
}

/// When all is over: the last launch ended now, by the host's clock.
void StageOnGpu::readTimes(const Function &function, LaunchTime *times) const {
  const Gpu &gpu = Shared->Device;
  gpu.check(gpu.api().synchronizeStream(gpu.compute()), "compute on the GPU");
  auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::vector<int64_t> at;
  for (const Owned<Event> &timer : function.timers)
    at.push_back(now - std::llround(1e9 * gpu.seconds(timer.get(), function.timers.back().get())));
  for (size_t i = 0; i < function.launches.size(); ++i)
    times[i] = {at[i], at[i + 1]};
}

Owned<GraphExec> StageOnGpu::capture(Function &function, Manner manner) {
  manner.captured = true;
  const Gpu &gpu = Shared->Device;
  const DriverApi &api = gpu.api();
  gpu.check(api.beginCapture(gpu.compute(), CaptureThreadLocal), "begin to capture a graph");
  Graph captured = nullptr;
  try {
    enqueue(function, manner);
  } catch (...) { // the stream must not stay in capture
    if (api.endCapture(gpu.compute(), &captured) == Success && captured)
      api.destroyGraph(captured);
    throw;
  }
  gpu.check(api.endCapture(gpu.compute(), &captured), "capture a graph");
  Owned<Graph> graph(captured, api.destroyGraph);
  GraphExec exec = nullptr;
  gpu.check(api.instantiate(&exec, graph.get(), 0), "make a captured graph ready");
  return {exec, api.destroyExec};
}

void StageOnGpu::run(int64_t index, LaunchTime *times) {
  if (index < 0 || uint64_t(index) >= Functions.size())
    throw Failure(Exit::Internal,
                  fmt::format("stage `{}` has {} functions, but function {} is called", Stage.name, Functions.size(), index));
  Function &function = Functions[size_t(index)];
  if (!Way.measured)
    prepare(function);
  else // at once: what is measured writes to the arena, which may hold gradients between two functions
    for (Function &each : Functions)
      prepare(each);
  Moves.give(function.inputs);
  const Gpu &gpu = Shared->Device;
  Manner manner{std::exchange(SumsNext, false), times != nullptr, false};
  while (manner.timed && function.timers.size() <= function.launches.size())
    function.timers.push_back(gpu.makeTimer());
  Function::Form &form = function.forms[manner.sums][manner.timed];
  if (!form.ran && !function.forms[manner.sums][false].ran)
    enqueue(function, manner);
  else if (!function.launches.empty()) {
    if (!form.graph)
      form.graph = capture(function, manner);
    if (Result result = gpu.api().launchGraph(form.graph.get(), gpu.compute()); result != Success)
      gpu.fail(result, fmt::format("launch the graph of `{}`", function.table->name));
  }
  form.ran = true;
  if (times && !function.launches.empty())
    readTimes(function, times);
  Moves.take(function.outputs);
}

void StageOnGpu::finish() {
  Moves.finish();
  if (Ranks)
    Ranks->check();
}

bool StageOnGpu::joinsRanks(int64_t index) const {
  const VccFunction &function = *Functions.at(size_t(index)).table;
  return std::any_of(function.launches, function.launches + function.launch_count, [](const VccLaunch &launch) { return isBetweenRanks(launch); });
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
  // Frozen weights may be most of a model, of each rank of a machine; they are fetched before anybody looks at them again.
  if (region == VCC_REGION_WEIGHTS && bytes == Host.size(region))
    Host.release(region);
}

std::vector<std::string> StageOnGpu::account() const {
  const Gpu &gpu = Shared->Device;
  Gpu::Memory memory = gpu.memory();
  uint64_t others = memory.total - memory.left - std::min<uint64_t>(memory.total - memory.left, bytes());
  std::string library = Shared->Library ? ", " + Shared->Library->version() : std::string();
  if (Shared->Attention)
    library += ", " + Shared->Attention->version();
  if (Ranks)
    library += ", " + Ranks->account();
  std::string compiled = Shared->Code.modulesCompiled() ? ", kernels compiled by the driver" : "";
  return {fmt::format("GPU: {} (sm_{}), driver of CUDA {}.{}{}{}", gpu.name(), gpu.chip(), gpu.driverVersion() / 1000,
                      gpu.driverVersion() % 1000 / 10, library, compiled),
          fmt::format("GPU memory: {} frozen weights, {} trained weights, gradients and moments, {} activations, {} workspace; {} beside it "
                      "(context, kernels, other programs), {} left of {}",
                      textOfBytes(Stage.weights_bytes), textOfBytes(Stage.state_bytes), textOfBytes(Stage.arena_bytes), textOfBytes(WorkspaceBytes),
                      textOfBytes(others), textOfBytes(memory.left), textOfBytes(memory.total))};
}

[[noreturn]] static void failWalk() {
  throw Failure(Exit::Internal, "launches on a GPU are not walked one by one");
}
void StageOnGpu::walk(int64_t, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &) { failWalk(); }
MachineRates StageOnGpu::rates() { return ratesOf(Shared->Device.name(), Precision); }

std::string StageOnGpu::kernelName(const VccLaunch &launch) const {
  return launch.kind == VCC_LAUNCH_GRID ? Shared->Code.nameOf(uint64_t(launch.ints[VCC_GRID_KERNEL])) : std::string();
}

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
