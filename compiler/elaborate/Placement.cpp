// SPDX-License-Identifier: Apache-2.0
//
// Offsets of the schedule step put into the manifest.
#include "compiler/elaborate/Manifest.h"
#include "dialects/tg/Tg.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace vcc::elaborate {

namespace {
struct Port {
  std::string name;
  mlir::RankedTensorType type;
};
} // namespace

static std::string dtypeName(mlir::Type type) {
  if (type.isInteger(1))
    return "bool";
  if (auto integer = llvm::dyn_cast<mlir::IntegerType>(type); integer && integer.isUnsigned())
    return "u" + std::to_string(integer.getWidth());
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static bool addPorts(Json &into, const std::vector<Port> &ports, const std::map<std::string, Placement> &places, const std::string &function, std::string &reason) {
  into = Json::array();
  for (const Port &port : ports) {
    auto place = places.find(port.name);
    if (place == places.end()) {
      reason = "the plan has no place for `" + port.name + "` of `" + function + "`";
      return false;
    }
    into.push_back({{"name", port.name}, {"dtype", dtypeName(port.type.getElementType())}, {"shape", std::vector<int64_t>(port.type.getShape().begin(), port.type.getShape().end())}, {"offset", place->second.offset}});
  }
  return true;
}

static Json roleOf(llvm::StringRef name) {
  if (name.consume_front("micro_"))
    return {{"role", "micro"}, {"variant", name.str()}};
  if (name.starts_with("evaluate_"))
    return {{"role", "evaluate"}};
  return {{"role", name.str()}};
}

static bool placeFunction(Json &functions, mlir::ModuleOp module, const StagePlacement::Function &placed, std::string &reason) {
  auto function = module.lookupSymbol<mlir::func::FuncOp>(placed.name);
  if (!function) {
    reason = "the plan has a function `" + placed.name + "` that the stage does not have";
    return false;
  }
  std::vector<Port> inputs, outputs;
  function.walk([&](mlir::Operation *op) {
    auto add = [](std::vector<Port> &ports, llvm::StringRef name, mlir::Type type) {
      if (llvm::none_of(ports, [&](const Port &port) { return port.name == name; }))
        ports.push_back({name.str(), llvm::cast<mlir::RankedTensorType>(type)});
    };
    if (auto input = llvm::dyn_cast<tg::InputOp>(op))
      add(inputs, input.getName(), input.getType());
    if (auto output = llvm::dyn_cast<tg::OutputOp>(op))
      add(outputs, output.getName(), output.getValue().getType());
    if (auto loss = llvm::dyn_cast<tg::LossOp>(op))
      add(outputs, "loss", loss.getValue().getType());
  });
  Json entry = {{"name", placed.name}};
  entry.update(roleOf(placed.name));
  entry["index"] = functions.size();
  if (!addPorts(entry["inputs"], inputs, placed.inputs, placed.name, reason) || !addPorts(entry["outputs"], outputs, placed.outputs, placed.name, reason))
    return false;
  functions.push_back(std::move(entry));
  return true;
}

bool placeStage(Json &stage, mlir::ModuleOp module, const StagePlacement &placement, std::string &reason) {
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
    auto gradient = placement.states.find("gradient:" + path);
    if (gradient != placement.states.end())
      state["gradient"] = {{"region", gradient->second.region}, {"offset", gradient->second.offset}};
  }
  stage["functions"] = Json::array();
  for (const StagePlacement::Function &function : placement.functions)
    if (!placeFunction(stage["functions"], module, function, reason))
      return false;
  return true;
}

} // namespace vcc::elaborate
