// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver/Placing.h"

#include "compiler/schedule/Passes.h"

namespace vcc::driver {

static elaborate::Placement placementOf(exec::BufferOp buffer) {
  return {exec::stringifyRegion(buffer.getRegion()).str(), static_cast<int64_t>(buffer.getOffset()),
          static_cast<int64_t>(buffer.getSize()), elaborate::dtypeName(buffer.tensorType().getElementType()), buffer.getTransposed()};
}

bool placeStage(exec::ModuleOp plan, const elaborate::StagePorts &ports, elaborate::Json &stage, std::string &reason) {
  if (!plan) {
    reason = "it has no plan";
    return false;
  }
  elaborate::StagePlacement placement;
  std::map<std::string, elaborate::Placement> &buffers = placement.states;
  for (auto buffer : plan.getBody().front().getOps<exec::BufferOp>())
    buffers[buffer.getSymName().str()] = placementOf(buffer);
  placement.regions = {{"weights", plan.getWeightsBytes()},
                       {"state", plan.getStateBytes()},
                       {"arena", plan.getArenaBytes()},
                       {"io", plan.getIoBytes()}};
  for (auto function : plan.getBody().front().getOps<exec::FunctionOp>()) {
    std::string name = function.getSymName().str();
    elaborate::StagePlacement::Function placed{name, {}, {}};
    auto found = ports.find(name);
    auto add = [&](const std::string &port, const std::string &buffer, auto &into) {
      if (auto place = buffers.find(buffer); place != buffers.end())
        into[port] = place->second;
    };
    if (found != ports.end()) {
      for (const auto &port : found->second.inputs)
        add(port.name, schedule::inputBufferName(name, port.name), placed.inputs);
      for (const auto &port : found->second.outputs)
        add(port.name, schedule::outputBufferName(name, port.name), placed.outputs);
    }
    placement.functions.push_back(std::move(placed));
  }
  return elaborate::placeStage(stage, ports, placement, reason);
}

} // namespace vcc::driver
