// SPDX-License-Identifier: Apache-2.0
//
// Components in any order of reference, then adapters around the parts that they name.
#include "compiler/elaborate/Model.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

LogicalResult Model::build() {
  Environment *outer = std::exchange(evaluator.environment, this);
  bool good = true;
  for (mlir::Operation &entry : *op.getBody())
    if (auto component = llvm::dyn_cast<vcs::ComponentOp>(entry))
      components[component.getNameAttr()] = {
          &entry, vcs::stringifyRole(component.getRole()).str(), {&entry}};
  llvm::SmallVector<mlir::StringAttr> names;
  for (auto &entry : components)
    names.push_back(entry.first);
  for (mlir::StringAttr name : names)
    good &= succeeded(force(name, components[name]));
  if (good) {
    for (mlir::StringAttr name : names)
      tree.add(name, components[name].field.value, nullptr);
    for (auto lora : op.getBody()->getOps<vcs::LoraOp>())
      good &= succeeded(wrap(lora));
  }
  evaluator.environment = outer;
  llvm::SmallVector<Weight *> all;
  tree.collect(all);
  weights.assign(all.begin(), all.end());
  for (Weight *weight : weights)
    weight->key = weight->path();
  return llvm::success(good);
}

FailureOr<Value> Model::force(StringRef name, Component &component) {
  Field &field = component.field;
  if (field.state == Field::State::Done)
    return field.value;
  if (field.state == Field::State::Failed)
    return failure();
  if (field.state == Field::State::Running)
    return evaluator.fault(FaultKind::TooDeep, component.op->getLoc(),
                           "the component `" + name.str() + "` is defined by itself");
  field.state = Field::State::Running;
  FunctionBuilder *function = std::exchange(evaluator.function, nullptr);
  auto value = evaluator.evaluate(llvm::cast<vcs::ComponentOp>(component.op).getValue());
  evaluator.function = function;
  bool isPart = succeeded(value) &&
                (value->asPart() ||
                 (value->asSequence() && !value->asSequence()->empty() &&
                  llvm::all_of(*value->asSequence(), [](const Value &v) { return v.asPart(); })));
  if (succeeded(value) && !isPart)
    value = evaluator.fault(FaultKind::TypeMismatch, component.op->getLoc(),
                            "a component must be a part but `" + name.str() + "` is " +
                                value->describe());
  field.state = failed(value) ? Field::State::Failed : Field::State::Done;
  if (failed(value))
    return failure();
  field.value = *value;
  evaluator.place(*value, nullptr, name);
  return *value;
}

FailureOr<Value> Model::part(StringRef name, mlir::Location loc) {
  auto found = components.find(mlir::StringAttr::get(evaluator.context(), name));
  if (found != components.end())
    return force(name, found->second);
  std::vector<std::string> known;
  for (auto &entry : components)
    known.push_back(entry.first.str());
  return evaluator
      .fault(FaultKind::UnknownField, loc, "the model has no component `" + name.str() + "`")
      .help(suggest(name, known));
}

FailureOr<Value> Model::input(StringRef name, mlir::Location loc) {
  return evaluator.fault(FaultKind::UnknownField, loc,
                         "`" + name.str() + "` belongs to a stage's batch, not to the model");
}

StringRef Model::componentOf(const Weight &weight) const {
  const std::string &path = weight.key;
  return StringRef(path).take_until([](char c) { return c == '.' || c == '['; });
}

bool Model::isAdapter(StringRef component) const {
  auto found = components.find(mlir::StringAttr::get(evaluator.context(), component));
  return found != components.end() && llvm::isa<vcs::LoraOp>(found->second.op);
}

/// `by` names the layer that wraps; without it that is the standard library's.
FailureOr<mlir::Operation *> Model::wrapper(const Value *by, mlir::Location loc) {
  if (!by) {
    if (mlir::Operation *layer = evaluator.lookup("adapters.lora", "LoRA"))
      return layer;
    return evaluator.fault(FaultKind::NotSupported, loc,
                           "the module `adapters.lora` of the standard library");
  }
  auto *callable = by->asCallable();
  if (callable && llvm::isa<vcs::LayerOp>(callable->declaration))
    return callable->declaration;
  return evaluator.fault(FaultKind::TypeMismatch, loc,
                         "`by` must be a layer but is " + by->describe());
}

LogicalResult Model::wrap(vcs::LoraOp lora) {
  CallArguments options;
  std::optional<Value> by;
  mlir::Location byAt = lora.getLoc();
  bool wanted = true;
  for (auto option : lora.getOptions().front().getOps<vcs::OptionOp>()) {
    auto value = evaluator.evaluate(option.getValue());
    if (failed(value))
      return failure();
    if (option.getName() == "by") {
      by = *value;
      byAt = option.getLoc();
      continue;
    }
    if (option.getName() == "when") {
      if (!value->asBool())
        return evaluator.fault(FaultKind::TypeMismatch, option.getLoc(),
                               "`when` must be a bool but is " + value->describe());
      wanted = *value->asBool();
      continue;
    }
    options.names.push_back(option.getName().str());
    options.values.push_back(*value);
    options.places.push_back(option.getLoc());
    options.expressions.push_back(option.getValue().front().getTerminator()->getOperand(0));
  }
  auto layer = wrapper(by ? &*by : nullptr, byAt);
  if (failed(layer))
    return failure();
  std::vector<PartNode *> sites;
  for (auto selector : lora.getSelectors().getAsRange<vcs::SelectorAttr>()) {
    auto nodes = resolveNodes(selector, tree, lora.getLoc(), FaultKind::LoraSiteMatchesNothing,
                              evaluator.faults());
    if (failed(nodes))
      return failure();
    sites.insert(sites.end(), nodes->begin(), nodes->end());
  }
  Part &root = evaluator.arena.parts.emplace_back(lora, lora.getLoc());
  root.name = lora.getName().str();
  root.placed = true;
  components[lora.getNameAttr()] = {lora, "lora", {lora, Field::State::Done, Value(&root)}};
  auto node = std::make_unique<PartNode>();
  node->name = lora.getName().str();
  node->parent = &tree;
  node->part = &root;
  tree.children.push_back(std::move(node));
  // Sites that are not wanted are looked for all the same, so that a name which means nothing is
  // found under every switch.
  tree.child(lora.getName())->mayBeEmpty = !wanted;
  for (PartNode *site : sites)
    if (wanted && failed(wrapSite(lora, root, *site, options, *layer)))
      return failure();
  return success();
}

LogicalResult Model::wrapSite(vcs::LoraOp lora, Part &root, PartNode &site,
                              const CallArguments &options, mlir::Operation *layer) {
  std::string path = site.path();
  if (!site.part)
    return evaluator
        .fault(FaultKind::LoraSiteMatchesNothing, lora.getLoc(), "LoRA site matches no weight")
        .label("`" + path + "` is not a part");
  if (site.part->adapter)
    return evaluator
        .fault(FaultKind::BadValue, lora.getLoc(), "`" + path + "` has an adapter already")
        .note(site.part->adapter->created, "the first is named here");
  CallArguments arguments = options;
  for (const char *name : {"width_in", "width_out"}) {
    auto size = site.part->arguments.find(mlir::StringAttr::get(evaluator.context(), name));
    if (size == site.part->arguments.end())
      return evaluator
          .fault(FaultKind::LoraSiteMatchesNothing, lora.getLoc(),
                 "LoRA site matches no linear layer")
          .label("`" + path + "` is a `" + site.part->layerName() + "`, which has no `" + name +
                 "`")
          .note(site.part->layer->getLoc(), "`" + site.part->layerName() + "` is declared here");
    arguments.names.push_back(name);
    arguments.values.push_back(size->second);
  }
  auto made = evaluator.instantiate(layer, arguments, lora.getLoc());
  if (failed(made))
    return failure();
  Part *adapter = *made;
  adapter->placed = true;
  adapter->parent = &root;
  adapter->name = path;
  site.part->adapter = adapter;

  // The adapter hangs in the tree under the same segments as its site, so that selectors can name a
  // part of it.
  llvm::SmallVector<PartNode *> chain;
  for (PartNode *node = &site; node->parent; node = node->parent)
    chain.push_back(node);
  PartNode *at = tree.child(lora.getName());
  for (PartNode *step : llvm::reverse(chain)) {
    PartNode *next = nullptr;
    for (auto &child : at->children)
      if (child->name == step->name && child->index == step->index)
        next = child.get();
    if (!next) {
      auto node = std::make_unique<PartNode>();
      node->name = step->name;
      node->index = step->index;
      node->parent = at;
      next = node.get();
      at->children.push_back(std::move(node));
    }
    at = next;
  }
  at->part = adapter;
  for (auto &[name, field] : adapter->fields)
    at->add(name.getValue(), field.value, adapter);
  return success();
}

} // namespace vcc::elaborate
