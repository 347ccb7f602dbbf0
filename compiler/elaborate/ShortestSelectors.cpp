// SPDX-License-Identifier: Apache-2.0
//
// Folds a set of weights into selectors: a part whose weights are all in the set stands for them, and so do the elements of a list in
// which the same path is.
#include "compiler/elaborate/Effective.h"

#include "llvm/ADT/Sequence.h"

namespace vcc::elaborate {

namespace {

/// What of a node is in the set: all of it, or these selectors relative to it.
struct Fold {
  bool any = false, all = true; // whether it has weights, whether they are all in
  std::vector<std::string> paths;
};

Fold fold(const PartNode &node, const WeightSet &weights);

void append(Fold &into, const Fold &child, const std::string &prefix) {
  if (child.all)
    into.paths.push_back(prefix);
  for (const std::string &path : child.paths)
    into.paths.push_back(prefix + path);
}

/// What a path such as `.a.b[2]`, of one end, leads to from `node`; null where that is not there.
const PartNode *follow(const PartNode *node, StringRef path) {
  while (node && !path.empty()) {
    if (path.consume_front(".")) {
      size_t end = path.find_first_of(".[");
      node = node->child(path.take_front(end));
      path = path.substr(end);
      continue;
    }
    int64_t index = 0;
    path.consume_front("[");
    node = path.consumeInteger(10, index) || !path.consume_front("]") ? nullptr : node->element(index);
  }
  return node;
}

bool hasWeights(const PartNode *node) {
  llvm::SmallVector<Weight *> weights;
  if (node)
    node->collect(weights);
  return !weights.empty();
}

/// The elements as one index, as ranges, or as `[*]` where no other element has what the path names.
void appendElements(Fold &into, const PartNode &list, llvm::ArrayRef<size_t> elements, const std::string &path) {
  bool oneEnd = !StringRef(path).contains("[*]") && !StringRef(path).contains("..");
  auto others = [&](size_t i) {
    return !llvm::is_contained(elements, i) && (!oneEnd || hasWeights(follow(list.children[i].get(), path)));
  };
  if (elements.size() > 1 && llvm::none_of(llvm::seq<size_t>(0, list.children.size()), others)) {
    into.paths.push_back("[*]" + path);
    return;
  }
  for (size_t first = 0, next = 1; next <= elements.size(); ++next) {
    if (next < elements.size() && elements[next] == elements[next - 1] + 1)
      continue;
    int64_t low = *list.children[elements[first]]->index, high = *list.children[elements[next - 1]]->index + 1;
    into.paths.push_back("[" + std::to_string(low) + (high - low == 1 ? "" : ".." + std::to_string(high)) + "]" + path);
    first = next;
  }
}

void foldList(const PartNode &node, const WeightSet &weights, Fold &into) {
  llvm::MapVector<StringRef, llvm::SmallVector<size_t>> elements; // by path
  std::vector<Fold> folds;
  for (const auto &child : node.children)
    folds.push_back(fold(*child, weights));
  for (auto [i, part] : llvm::enumerate(folds)) {
    if (part.any && part.all)
      elements[""].push_back(i);
    for (const std::string &path : part.paths)
      elements[path].push_back(i);
  }
  for (auto &[path, indices] : elements)
    appendElements(into, node, indices, path.str());
}

Fold fold(const PartNode &node, const WeightSet &weights) {
  Fold made;
  if (node.weight) {
    made.any = true;
    made.all = weights.contains(node.weight);
  }
  bool list = node.isList();
  for (const auto &child : node.children) {
    Fold part = fold(*child, weights);
    made.any |= part.any;
    made.all &= part.all || !part.any;
    if (!list && part.any)
      append(made, part, "." + child->name);
  }
  if (list)
    foldList(node, weights, made);
  made.all &= made.any;
  if (made.all)
    made.paths.clear();
  return made;
}

} // namespace

std::vector<std::string> shortestSelectors(const PartNode &tree, const WeightSet &weights) {
  std::vector<std::string> selectors;
  for (const auto &component : tree.children) {
    Fold part = fold(*component, weights);
    if (part.any && part.all)
      selectors.push_back(component->name);
    for (const std::string &path : part.paths)
      selectors.push_back(component->name + path);
  }
  return selectors;
}

} // namespace vcc::elaborate
