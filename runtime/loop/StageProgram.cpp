// SPDX-License-Identifier: Apache-2.0
//
// Names to addresses.
#include "runtime/loop/StageProgram.h"

#include "runtime/program/Failure.h"
#include "runtime/weights/Transpose.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace vcc::runtime {

using manifest::Function;
using manifest::Port;
using manifest::State;

[[noreturn]] static void fail(const manifest::Stage &stage, const std::string &what) {
  throw Failure(Exit::Internal, fmt::format("stage `{}`: {}", stage.name, what));
}

static void checkPort(const manifest::Stage &stage, const Function &function, const Port &port) {
  bool fits = true;
  if (port.name == "rng")
    fits = port.dtype == DType::I32 && elementsOf(port.shape) == 4;
  else if (port.name == "batch.rank")
    fits = port.dtype == DType::I32 && elementsOf(port.shape) == 1;
  else if (StageProgram::isSystemInput(port.name))
    fits = port.dtype == DType::F32 && elementsOf(port.shape) == 1;
  if (!fits)
    fail(stage, fmt::format("input `{}` of `{}` is {} {}", port.name, function.name,
                            nameOf(port.dtype), textOf(port.shape)));
}

StageProgram::StageProgram(const StagePlace &place, const MakeDevice &make) : Stage(place.stage), Device(make(place)), Threads(place.threads) {
  const VccStage &table = place.table;
  const manifest::Stage &stage = place.stage;
  if (table.weights_bytes != uint64_t(stage.weightsBytes) ||
      table.state_bytes != uint64_t(stage.stateBytes) ||
      table.arena_bytes != uint64_t(stage.arenaBytes) || table.io_bytes != uint64_t(stage.ioBytes))
    fail(stage, "the manifest's region sizes are not the program's");
  // A device that works on the host's memory has it in one order alone.
  for (const State &state : stage.states)
    if (state.transposed && Device->isHost())
      fail(stage, fmt::format("`{}` is transposed, which is of GPUs alone", state.path));
  for (const Function &function : stage.functions) {
    if (uint64_t(function.index) >= table.function_count)
      fail(stage, fmt::format("function `{}` has index {}, but there are {}", function.name,
                              function.index, table.function_count));
    for (const Port &port : function.inputs)
      checkPort(stage, function, port);
    bool takesData = function.role == Function::Role::Micro || function.role == Function::Role::Evaluate;
    for (const Port &port : function.inputs)
      if (!takesData && !isSystemInput(port.name))
        fail(stage, fmt::format("function `{}` needs input `{}`, which only batches have",
                                function.name, port.name));
  }
}

bool StageProgram::isSystemInput(const std::string &name) {
  return name == "rng" || name == "step.index" || name == "step.total" || name == "step.per_epoch" ||
         name == "batch.rank";
}

void StageProgram::write(const Port &port, const StepInputs &inputs) {
  if (port.name == "rng") {
    const uint32_t words[4] = {uint32_t(inputs.seed), uint32_t(inputs.seed >> 32),
                               uint32_t(inputs.step), uint32_t(inputs.firstSample)};
    std::memcpy(at(port), words, sizeof words);
    return;
  }
  if (port.name == "batch.rank") {
    const int32_t rank = inputs.rank;
    std::memcpy(at(port), &rank, sizeof rank);
    return;
  }
  float value = 0;
  if (port.name == "step.index")
    value = float(inputs.step);
  else if (port.name == "step.total")
    value = float(inputs.totalSteps);
  else if (port.name == "step.per_epoch")
    value = float(inputs.stepsPerEpoch);
  else
    return;
  std::memcpy(at(port), &value, sizeof value);
}

void StageProgram::begin(const Function &function, const StepInputs &inputs) {
  for (const Port &port : function.inputs)
    write(port, inputs);
  LaunchTime *times = Observer ? Observer->begins(function) : nullptr;
  if (!times)
    return Device->run(function.index);
  Device->run(function.index, times);
  Observer->ended(function);
}

template <typename F>
void StageProgram::forState(std::initializer_list<State::Kind> kinds, F &&act) const {
  for (const State &state : Stage.states) // a weight by itself, not with the flat buffer that it is part of
    if (state.place.region == VCC_REGION_STATE && !(state.kind == State::Kind::Weight && state.isGroup()) &&
        std::count(kinds.begin(), kinds.end(), state.kind))
      act(state.place.region, uint64_t(state.place.offset), uint64_t(state.bytes));
}

void StageProgram::turnWeights(bool back) const {
  for (const State &state : Stage.states)
    if (state.transposed) {
      int64_t rows = state.shape[back], columns = state.shape[!back];
      transpose(at(state), rows, columns, bytesOf(state.dtype), Threads);
    }
}

void StageProgram::fetchFrozen() {
  Device->fetch(VCC_REGION_WEIGHTS, 0, memory().size(VCC_REGION_WEIGHTS));
  turnWeights(/*back=*/true);
}

void StageProgram::fetchTrained() {
  forState({State::Kind::Weight, State::Kind::Moment, State::Kind::Counter},
           [&](VccRegion region, uint64_t offset, uint64_t bytes) { Device->fetch(region, offset, bytes); });
}

void StageProgram::fetchInitialised() {
  if (std::any_of(Stage.states.begin(), Stage.states.end(), [](const State &state) {
        return state.kind == State::Kind::Weight && state.place.region == VCC_REGION_WEIGHTS && state.isInitialised();
      }))
    fetchFrozen();
  forState({State::Kind::Weight, State::Kind::Counter},
           [&](VccRegion region, uint64_t offset, uint64_t bytes) { Device->fetch(region, offset, bytes); });
}

void StageProgram::fetchGradients() {
  for (const State &state : Stage.states)
    if (state.gradient)
      Device->fetch(state.gradient->region, uint64_t(state.gradient->offset), uint64_t(state.bytes));
}

void StageProgram::publishWeights() {
  turnWeights(/*back=*/false);
  Device->publish(VCC_REGION_WEIGHTS, 0, memory().size(VCC_REGION_WEIGHTS));
  forState({State::Kind::Weight, State::Kind::Moment, State::Kind::Counter},
           [&](VccRegion region, uint64_t offset, uint64_t bytes) { Device->publish(region, offset, bytes); });
  Device->weightsChanged();
}

HostTensors StageProgram::dataInputs(const Function &function) const {
  HostTensors tensors;
  for (const Port &port : function.inputs)
    if (!isSystemInput(port.name))
      tensors[port.name] = {port.dtype, port.shape, at(port)};
  return tensors;
}

std::vector<Scalar> StageProgram::scalars(const Function &function) const {
  std::vector<Scalar> values;
  for (const Port &port : function.outputs) {
    if (elementsOf(port.shape) != 1 || port.dtype != DType::F32)
      continue;
    float value;
    std::memcpy(&value, at(port), sizeof value);
    values.push_back({port.name, value});
  }
  return values;
}

const Port *StageProgram::output(const Function &function, const std::string &name) const {
  for (const Port &port : function.outputs)
    if (port.name == name)
      return &port;
  return nullptr;
}

std::byte *StageProgram::gradientOf(const manifest::State &state) const {
  return state.gradient ? memory().at(state.gradient->region, uint64_t(state.gradient->offset))
                        : nullptr;
}

} // namespace vcc::runtime
