// SPDX-License-Identifier: Apache-2.0
//
// Copies of a step's buffers. Nothing here writes to the program's memory, so that losses do not depend on a dump.
#include "runtime/loop/Dump.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>

namespace vcc::runtime {

using manifest::State;

void Dump::keep(const std::string &name, DType dtype, const Shape &shape, const void *data) {
  size_t bytes = size_t(elementsOf(shape) * bytesOf(dtype));
  auto *from = static_cast<const std::byte *>(data);
  Copies.emplace_back(from, from + bytes);
  Tensors.push_back({name, {dtype, shape, Copies.back().data()}});
}

void Dump::weightsBefore() {
  Program.fetchWeights();
  for (const State &state : Program.stage().states) {
    if (state.kind == State::Kind::Weight && !state.isGroup())
      keep("before/" + state.path, state.dtype, state.shape, Program.at(state));
    else if (state.kind == State::Kind::Moment || state.kind == State::Kind::Counter)
      keep((state.kind == State::Kind::Moment ? "moment/" : "counter/") + state.path, state.dtype, state.shape, Program.at(state));
  }
}

void Dump::inputs(int micro, const HostTensors &tensors) {
  for (const auto &[name, tensor] : tensors)
    keep(fmt::format("input/{}/{}", micro, name), tensor.dtype, tensor.shape, tensor.data);
}

void Dump::systemInputs(int micro, const manifest::Function &function) {
  for (const manifest::Port &port : function.inputs)
    if (StageProgram::isSystemInput(port.name))
      keep(fmt::format("input/{}/{}", micro, port.name), port.dtype, port.shape, Program.at(port));
}

void Dump::gradients() {
  Program.fetchGradients();
  for (const State &state : Program.stage().states)
    if (state.kind == State::Kind::Weight && !state.isGroup() && state.gradient)
      keep("gradient/" + state.path, state.dtype, state.shape, Program.gradientOf(state));
}

void Dump::outputs(const std::vector<Scalar> &values) {
  for (const Scalar &scalar : values) {
    float value = float(scalar.value);
    keep("output/" + scalar.name, DType::F32, {}, &value);
  }
}

void Dump::weightsAfter() {
  Program.fetchTrained();
  for (const State &state : Program.stage().states)
    if (state.kind == State::Kind::Weight && !state.isGroup() && state.trainable)
      keep("after/" + state.path, state.dtype, state.shape, Program.at(state));
}

std::string Dump::write(const std::string &folder, int64_t step, int rank) {
  makeFolders(folder);
  std::string name = fmt::format("step-{:06}{}.safetensors", step, rank ? fmt::format(".rank-{}", rank) : "");
  std::string path = (std::filesystem::path(folder) / name).string();
  writeSafetensors(path + ".partial", Tensors,
                   {{"step", std::to_string(step)}, {"stage", Program.stage().name}});
  renameDurably(path + ".partial", path);
  return path;
}

} // namespace vcc::runtime
