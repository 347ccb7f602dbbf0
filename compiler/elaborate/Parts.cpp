// SPDX-License-Identifier: Apache-2.0
//
// Paths of parts and weights, and the tree that selectors walk.
#include "compiler/elaborate/Parts.h"

#include "mlir/IR/SymbolTable.h"

namespace vcc::elaborate {

std::string Part::path() const {
  if (!parent)
    return name;
  std::string above = parent->path();
  return above.empty() ? name : above + "." + name;
}

std::string Part::layerName() const {
  auto symbol = layer->getAttrOfType<mlir::StringAttr>(mlir::SymbolTable::getSymbolAttrName());
  return symbol ? symbol.getValue().str() : "part";
}

const Part *Part::root() const {
  const Part *part = this;
  while (part->parent)
    part = part->parent;
  return part;
}

static bool declares(mlir::Block &fields, llvm::StringRef name, bool optional) {
  for (mlir::Operation &op : fields) {
    if (auto choice = llvm::dyn_cast<vcs::StaticIfOp>(op)) {
      for (mlir::Region *region : {&choice.getThen(), &choice.getOtherwise()})
        if (!region->empty() && declares(region->front(), name, true))
          return true;
      continue;
    }
    auto weight = llvm::dyn_cast<vcs::WeightOp>(op);
    auto field = llvm::dyn_cast<vcs::FieldOp>(op);
    if (optional && ((weight && weight.getName() == name) || (field && field.getName() == name)))
      return true;
  }
  return false;
}

bool Part::mayLack(llvm::StringRef wanted) const {
  return layer->getNumRegions() > 0 && llvm::isa<vcs::LayerOp>(layer) &&
         declares(layer->getRegion(0).front(), wanted, false);
}

std::string Weight::path() const {
  if (!key.empty())
    return key;
  std::string above = owner ? owner->path() : "";
  return above.empty() ? name : above + "." + name;
}

int64_t Weight::elements() const {
  int64_t n = 1;
  for (int64_t d : shape)
    n *= d;
  return n;
}

PartNode *PartNode::child(llvm::StringRef wanted) const {
  for (const auto &node : children)
    if (!node->index && node->name == wanted)
      return node.get();
  return nullptr;
}

PartNode *PartNode::element(int64_t wanted) const {
  for (const auto &node : children)
    if (node->index == wanted)
      return node.get();
  return nullptr;
}

std::string PartNode::path() const {
  if (!parent)
    return "";
  std::string above = parent->path();
  if (index)
    return above + "[" + std::to_string(*index) + "]";
  return above.empty() ? name : above + "." + name;
}

void PartNode::collect(llvm::SmallVectorImpl<Weight *> &into) const {
  if (weight)
    into.push_back(weight);
  for (const auto &node : children)
    node->collect(into);
}

static bool isPartLike(const Value &value) {
  if (value.asPart() || value.asWeight())
    return true;
  auto *items = value.asSequence();
  return items && !items->empty() && llvm::all_of(*items, isPartLike);
}

static void fill(PartNode &node, const Value &value) {
  if (Weight *weight = value.asWeight()) {
    node.weight = weight;
    return;
  }
  if (Part *part = value.asPart()) {
    node.part = part;
    for (auto &[name, field] : part->fields)
      node.add(name.getValue(), field.value, part);
    return;
  }
  const auto &items = *value.asSequence();
  for (size_t i = 0; i < items.size(); ++i) {
    auto element = std::make_unique<PartNode>();
    element->index = static_cast<int64_t>(i);
    element->parent = &node;
    fill(*element, items[i]);
    node.children.push_back(std::move(element));
  }
}

static bool ownedBy(const Value &value, const Part *owner) {
  if (Part *part = value.asPart())
    return part->parent == owner;
  if (Weight *weight = value.asWeight())
    return weight->owner == owner;
  auto *items = value.asSequence();
  return items && llvm::all_of(*items, [&](const Value &v) { return ownedBy(v, owner); });
}

void PartNode::add(llvm::StringRef childName, const Value &value, const Part *owner) {
  if (!isPartLike(value) || !ownedBy(value, owner))
    return;
  auto node = std::make_unique<PartNode>();
  node->name = childName.str();
  node->parent = this;
  fill(*node, value);
  children.push_back(std::move(node));
}

} // namespace vcc::elaborate
