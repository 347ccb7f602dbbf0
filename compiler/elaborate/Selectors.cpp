// SPDX-License-Identifier: Apache-2.0
//
// A selector walks the tree of parts segment by segment. `*` is any named child; where that child
// is a list, also each of its elements, so that
// `*.attention` reaches `layers[3].attention`. A name may be a group that the part's layer
// declares.
#include "compiler/elaborate/Selectors.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

using Frontier = llvm::SetVector<PartNode *>;

static Frontier walk(llvm::ArrayRef<vcs::SegmentAttr> segments, const Frontier &from,
                     size_t *reached);

static vcs::GroupOp findGroup(const PartNode &node, llvm::StringRef name) {
  if (!node.part || node.part->layer->getNumRegions() == 0)
    return {};
  for (auto group : node.part->layer->getRegion(0).front().getOps<vcs::GroupOp>())
    if (group.getName() == name)
      return group;
  return {};
}

static void addGroup(vcs::GroupOp group, PartNode *node, Frontier &into) {
  Frontier self;
  self.insert(node);
  for (auto selector : group.getSelectors().getAsRange<vcs::SelectorAttr>())
    for (vcs::PathAttr path : selector.getAlternatives())
      for (PartNode *found : walk(path.getSegments(), self, nullptr))
        into.insert(found);
}

static void stepInto(vcs::SegmentAttr segment, PartNode *node, Frontier &into) {
  auto add = [&](PartNode *found) {
    if (found)
      into.insert(found);
  };
  int64_t count = node->isList() ? node->children.size() : 0;
  switch (segment.getKind()) {
  case vcs::SegmentKind::Name:
    if (PartNode *child = node->child(segment.getName()))
      add(child);
    else if (vcs::GroupOp group = findGroup(*node, segment.getName()))
      addGroup(group, node, into);
    break;
  case vcs::SegmentKind::Any:
    for (auto &child : node->children) {
      add(child.get());
      if (child->isList())
        for (auto &element : child->children)
          add(element.get());
    }
    break;
  case vcs::SegmentKind::Index:
    add(node->element(segment.getFirst() < 0 ? segment.getFirst() + count : segment.getFirst()));
    break;
  case vcs::SegmentKind::Range: {
    int64_t first = segment.getFirst() < 0 ? segment.getFirst() + count : segment.getFirst();
    int64_t last =
        segment.getLast() < 0 ? segment.getLast() + count : std::min(segment.getLast(), count);
    for (int64_t i = std::max<int64_t>(first, 0); i < last; ++i)
      add(node->element(i));
    break;
  }
  case vcs::SegmentKind::AllIndices:
    if (node->isList())
      for (auto &element : node->children)
        add(element.get());
  }
}

/// `reached` gets the number of segments that led somewhere.
static Frontier walk(llvm::ArrayRef<vcs::SegmentAttr> segments, const Frontier &from,
                     size_t *reached) {
  Frontier frontier = from;
  for (auto [i, segment] : llvm::enumerate(segments)) {
    Frontier next;
    for (PartNode *node : frontier)
      stepInto(segment, node, next);
    if (reached)
      *reached = next.empty() ? i : i + 1;
    if (next.empty())
      return next;
    frontier = std::move(next);
  }
  return frontier;
}

static std::string segmentText(vcs::SegmentAttr segment) {
  switch (segment.getKind()) {
  case vcs::SegmentKind::Name:
    return segment.getName().str();
  case vcs::SegmentKind::Any:
    return "*";
  case vcs::SegmentKind::Index:
    return "[" + std::to_string(segment.getFirst()) + "]";
  case vcs::SegmentKind::Range:
    return "[" + std::to_string(segment.getFirst()) + ".." +
           (segment.getLast() == INT64_MAX ? "" : std::to_string(segment.getLast())) + "]";
  case vcs::SegmentKind::AllIndices:
    return "[*]";
  }
  return "";
}

static mlir::Location segmentLoc(vcs::SegmentAttr segment, mlir::Location loc) {
  if (segment.getLine() == 0)
    return loc;
  vcs::SourceSpan span;
  span.File = vcs::spanOf(loc).File;
  span.Line = span.EndLine = segment.getLine();
  span.Column = segment.getColumn();
  span.EndColumn = segment.getColumn() + std::max(1u, segment.getLength());
  return vcs::locationOf(loc.getContext(), span);
}

/// What the nodes before the failing segment do have.
static std::vector<std::string> choices(const Frontier &nodes) {
  llvm::SetVector<llvm::StringRef> names;
  for (PartNode *node : nodes) {
    for (auto &child : node->children)
      if (!child->index)
        names.insert(child->name);
    if (node->part && node->part->layer->getNumRegions() > 0)
      for (auto group : node->part->layer->getRegion(0).front().getOps<vcs::GroupOp>())
        names.insert(group.getName());
  }
  std::vector<std::string> result;
  for (llvm::StringRef name : names)
    result.push_back(name.str());
  return result;
}

static std::string describeNode(const PartNode &node) {
  if (node.part && node.part->layer->hasAttr("sym_name"))
    return "`" + node.part->layerName() + "`";
  if (node.weight)
    return "the weight `" + node.weight->path() + "`";
  if (node.isList())
    return "the list `" + node.path() + "`";
  return node.parent ? "`" + node.path() + "`" : "the model";
}

static void reportDeadEnd(vcs::PathAttr path, const Frontier &from, size_t reached,
                          mlir::Location loc, FaultKind kind, FaultSink &faults) {
  vcs::SegmentAttr segment = path.getSegments()[reached];
  Frontier before = walk(path.getSegments().take_front(reached), from, nullptr);
  const PartNode &node = **before.begin();
  std::string text = segmentText(segment), label;
  if (segment.getKind() == vcs::SegmentKind::Name)
    label = describeNode(node) +
            (node.isList() ? " needs an index, such as `[*]`, before `" : " has no `") + text + "`";
  else if (node.isList())
    label = describeNode(node) + " has " + std::to_string(node.children.size()) + " elements";
  else
    label = describeNode(node) + " is not a list";
  std::string message = kind == FaultKind::LoraSiteMatchesNothing
                            ? "LoRA site matches no weight"
                            : "selector `" + path.str() + "` matches no weight";
  FaultRecord record{kind, segmentLoc(segment, loc), std::move(message), std::move(label), {}, ""};
  if (node.part && node.part->layer->hasAttr("sym_name"))
    record.notes.push_back(
        {node.part->layer->getLoc(), "`" + node.part->layerName() + "` is declared here"});
  if (segment.getKind() == vcs::SegmentKind::Name && !node.isList())
    record.help = suggest(text, choices(before));
  faults.report(std::move(record));
}

/// Whether the segment that led nowhere names a field that the part before it may lack: then there
/// is nothing to find, and no mistake.
static bool isOptional(vcs::PathAttr path, const Frontier &from, size_t reached) {
  vcs::SegmentAttr segment = path.getSegments()[reached];
  return segment.getKind() == vcs::SegmentKind::Name &&
         llvm::any_of(walk(path.getSegments().take_front(reached), from, nullptr),
                      [&](PartNode *node) {
                        return node->part && node->part->mayLack(segment.getName().getValue());
                      });
}

static llvm::FailureOr<Frontier> resolvePath(vcs::PathAttr path, const Frontier &from,
                                             mlir::Location loc, FaultKind kind,
                                             FaultSink &faults) {
  size_t reached = 0;
  Frontier found = walk(path.getSegments(), from, &reached);
  if (!found.empty())
    return found;
  reached = std::min(reached, path.getSegments().size() - 1);
  if (isOptional(path, from, reached))
    return found;
  reportDeadEnd(path, from, reached, loc, kind, faults);
  return failure();
}

llvm::FailureOr<std::vector<PartNode *>> resolveNodes(vcs::SelectorAttr selector, PartNode &root,
                                                      mlir::Location loc, FaultKind kind,
                                                      FaultSink &faults) {
  Frontier start, all;
  start.insert(&root);
  bool good = true;
  for (vcs::PathAttr path : selector.getAlternatives()) {
    auto found = resolvePath(path, start, loc, kind, faults);
    good &= succeeded(found);
    if (succeeded(found))
      all.insert(found->begin(), found->end());
  }
  if (!good)
    return failure();
  return std::vector<PartNode *>(all.begin(), all.end());
}

llvm::LogicalResult takeOut(llvm::ArrayRef<vcs::PathAttr> except, llvm::ArrayRef<PartNode *> nodes,
                            WeightSet &weights, mlir::Location loc, FaultSink &faults) {
  Frontier from(nodes.begin(), nodes.end());
  for (vcs::PathAttr path : except) {
    auto found = resolvePath(path, from, loc, FaultKind::SelectorMatchesNothing, faults);
    if (failed(found))
      return failure();
    llvm::SmallVector<Weight *> gone;
    for (PartNode *node : *found)
      node->collect(gone);
    for (Weight *weight : gone)
      weights.remove(weight);
  }
  return success();
}

llvm::FailureOr<WeightSet> resolveWeights(vcs::SelectorAttr selector, PartNode &root,
                                          mlir::Location loc, FaultSink &faults) {
  auto nodes = resolveNodes(selector, root, loc, FaultKind::SelectorMatchesNothing, faults);
  if (failed(nodes))
    return failure();
  llvm::SmallVector<Weight *> collected;
  for (PartNode *node : *nodes)
    node->collect(collected);
  WeightSet weights(collected.begin(), collected.end());
  if (weights.empty() &&
      llvm::any_of(*nodes, [](PartNode *node) { return !node->mayBeEmpty; }))
    return Fault(faults, FaultKind::SelectorMatchesNothing, loc,
                 "selector `" + selector.str() + "` matches no weight")
        .label("what it names has no weights");
  if (failed(takeOut(selector.getExcept(), *nodes, weights, loc, faults)))
    return failure();
  return weights;
}

} // namespace vcc::elaborate
