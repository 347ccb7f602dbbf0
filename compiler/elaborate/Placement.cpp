// SPDX-License-Identifier: Apache-2.0
//
// Offsets of the schedule step put into the manifest.
#include "compiler/elaborate/Manifest.h"
#include "dialects/tg/Tg.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace vcc::elaborate {

std::string dtypeName(mlir::Type type) {
  if (type.isInteger(1))
    return "bool";
  if (auto integer = llvm::dyn_cast<mlir::IntegerType>(type); integer && integer.isUnsigned())
    return "u" + std::to_string(integer.getWidth());
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

StagePorts readPorts(mlir::ModuleOp stage) {
  StagePorts all;
  for (auto function : stage.getOps<mlir::func::FuncOp>()) {
    FunctionPorts &ports = all[function.getSymName().str()];
    auto add = [](std::vector<FunctionPorts::Port> &into, llvm::StringRef name, mlir::Type type) {
      if (llvm::any_of(into, [&](const FunctionPorts::Port &port) { return port.name == name; }))
        return;
      auto tensor = llvm::cast<mlir::RankedTensorType>(type);
      into.push_back({name.str(), dtypeName(tensor.getElementType()), tensor.getShape().vec()});
    };
    function.walk([&](mlir::Operation *op) {
      if (auto input = llvm::dyn_cast<tg::InputOp>(op))
        add(ports.inputs, input.getName(), input.getType());
      if (auto output = llvm::dyn_cast<tg::OutputOp>(op))
        add(ports.outputs, output.getName(), output.getValue().getType());
      if (auto loss = llvm::dyn_cast<tg::LossOp>(op))
        add(ports.outputs, "loss", loss.getValue().getType());
    });
  }
  return all;
}

static Json describe(const FunctionPorts::Port &port, const Placement &place) {
  return {
      {"name", port.name}, {"dtype", port.dtype}, {"shape", port.shape}, {"offset", place.offset}};
}

static Json roleOf(llvm::StringRef name) {
  if (name.consume_front("micro_"))
    return {{"role", "micro"}, {"variant", name.str()}};
  if (name.starts_with("evaluate_"))
    return {{"role", "evaluate"}};
  return {{"role", name.str()}};
}

static bool placeFunction(Json &functions, const StagePorts &ports,
                          const StagePlacement::Function &placed, std::string &reason) {
  auto found = ports.find(placed.name);
  if (found == ports.end()) {
    reason = "the plan has a function `" + placed.name + "` that the stage does not have";
    return false;
  }
  Json entry = {{"name", placed.name}};
  entry.update(roleOf(placed.name));
  entry["index"] = functions.size();
  entry["inputs"] = Json::array();
  for (const FunctionPorts::Port &port : found->second.inputs)
    if (auto place = placed.inputs.find(port.name); place != placed.inputs.end())
      entry["inputs"].push_back(describe(port, place->second));
  entry["outputs"] = Json::array();
  for (const FunctionPorts::Port &port : found->second.outputs) {
    auto place = placed.outputs.find(port.name);
    if (place == placed.outputs.end()) {
      reason = "the plan has no place for the output `" + port.name + "` of `" + placed.name + "`";
      return false;
    }
    entry["outputs"].push_back(describe(port, place->second));
  }
  functions.push_back(std::move(entry));
  return true;
}

bool placeStage(Json &stage, const StagePorts &ports, const StagePlacement &placement,
                std::string &reason) {
  for (const char *region : {"weights", "state", "arena", "io"}) {
    auto bytes = placement.regions.find(region);
    stage["regions"][region] = bytes == placement.regions.end() ? 0 : bytes->second;
  }
  for (Json &state : stage["states"]) {
    std::string path = state["path"];
    auto place = placement.states.find(path);
    if (place == placement.states.end()) {
      reason = "the plan has no place for the state `" + path + "`";
      return false;
    }
    state["region"] = place->second.region;
    state["offset"] = place->second.offset;
    state["bytes"] = place->second.bytes;
    state["dtype"] = place->second.dtype;
    if (place->second.transposed)
      state["transposed"] = true;
    auto gradient = placement.states.find("gradient:" + path);
    if (gradient != placement.states.end())
      state["gradient"] = {{"region", gradient->second.region},
                           {"offset", gradient->second.offset}};
  }
  stage["functions"] = Json::array();
  for (const StagePlacement::Function &function : placement.functions)
    if (!placeFunction(stage["functions"], ports, function, reason))
      return false;
  return true;
}

} // namespace vcc::elaborate
