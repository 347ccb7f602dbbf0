// SPDX-License-Identifier: Apache-2.0
//
// The stage's `recompute`: which parts are meant, which operations their calls leave, and the
// borders around these.
#include "compiler/elaborate/Segments.h"

#include "compiler/elaborate/Stage.h"
#include "llvm/ADT/MapVector.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

bool Segments::open(const Part *part, mlir::Block &block) {
  if (running || !parts.contains(part))
    return false;
  running = true;
  segments.push_back({part, block.empty() ? nullptr : &block.back(), {}});
  return true;
}

void Segments::close(mlir::Block &block) {
  running = false;
  Segment &segment = segments.back();
  auto first = segment.before ? std::next(segment.before->getIterator()) : block.begin();
  for (mlir::Operation &op : llvm::make_range(first, block.end()))
    if (!llvm::isa<tg::ReadOp, tg::InputOp>(op))
      segment.ops.push_back(&op);
}

bool Segments::ran(const Part *part) const {
  return llvm::any_of(segments,
                      [&](const Segment &s) { return s.part == part && !s.ops.empty(); });
}

/// The values that a gradient may have to pass through.
static llvm::DenseSet<mlir::Value> activeValues(mlir::Block &block,
                                                const llvm::DenseSet<mlir::Value> &trainable) {
  llvm::DenseSet<mlir::Value> active = trainable;
  for (mlir::Operation &op : block) {
    auto differentiable = llvm::dyn_cast<tg::DifferentiableOpInterface>(op);
    if (!differentiable || !differentiable.getNoGradientReason().empty() ||
        llvm::none_of(op.getOperands(), [&](mlir::Value v) { return active.contains(v); }))
      continue;
    for (mlir::Value result : op.getResults())
      if (llvm::isa<mlir::FloatType>(mlir::getElementTypeOrSelf(result.getType())))
        active.insert(result);
  }
  return active;
}

llvm::DenseSet<const Part *>
Segments::reached(mlir::Block &block, const llvm::DenseSet<mlir::Value> &trainable) const {
  llvm::DenseSet<mlir::Value> active = activeValues(block, trainable);
  llvm::DenseSet<const Part *> found;
  for (const Segment &segment : segments)
    if (llvm::any_of(segment.ops, [&](mlir::Operation *op) {
          return llvm::any_of(op->getResults(), [&](mlir::Value v) { return active.contains(v); });
        }))
      found.insert(segment.part);
  return found;
}

static mlir::Value border(mlir::OpBuilder &builder, mlir::Value value, tg::BorderSide side,
                          int64_t number) {
  auto attribute = tg::BorderAttr::get(builder.getContext(), side, number);
  return builder
      .create<tg::BarrierOp>(value.getLoc(), mlir::TypeRange{value.getType()},
                             mlir::ValueRange{value}, attribute)
      .getResult(0);
}

void Segments::drawBorder(const Segment &segment, int64_t number) {
  llvm::SmallPtrSet<mlir::Operation *, 32> inside(segment.ops.begin(), segment.ops.end());
  mlir::OpBuilder builder(segment.ops.front());
  llvm::DenseMap<mlir::Value, mlir::Value> entered;
  for (mlir::Operation *op : segment.ops)
    for (mlir::OpOperand &operand : op->getOpOperands()) {
      mlir::Operation *maker = operand.get().getDefiningOp();
      if (inside.contains(maker) || llvm::isa<tg::ReadOp, tg::InputOp, tg::ConstantOp>(maker))
        continue;
      mlir::Value &value = entered[operand.get()];
      if (!value)
        value = border(builder, operand.get(), tg::BorderSide::Enter, number);
      operand.set(value);
    }
  builder.setInsertionPointAfter(segment.ops.back());
  for (mlir::Operation *op : segment.ops)
    for (mlir::Value result : op->getResults()) {
      auto isOutside = [&](mlir::OpOperand &use) { return !inside.contains(use.getOwner()); };
      if (llvm::none_of(result.getUses(), isOutside))
        continue;
      mlir::Value left = border(builder, result, tg::BorderSide::Leave, number);
      result.replaceUsesWithIf(left, [&](mlir::OpOperand &use) {
        return isOutside(use) && use.getOwner() != left.getDefiningOp();
      });
    }
}

void Segments::drawBorders() {
  int64_t number = 0;
  for (const Segment &segment : segments)
    if (!segment.ops.empty())
      drawBorder(segment, number++);
}

/// The parts that a node stands for: itself, or those of its list or of a place without a part.
static void collectParts(const PartNode &node, std::vector<const Part *> &parts) {
  if (node.part)
    parts.push_back(node.part);
  else
    for (const auto &child : node.children)
      collectParts(*child, parts);
}

LogicalResult Stage::readRecompute() {
  for (auto clause : op.getBody()->getOps<vcs::RecomputeOp>()) {
    vcs::SelectorAttr selector = clause.getSelector();
    if (!selector.getExcept().empty())
      return fault(FaultKind::NotSupported, clause.getLoc(), "`except` in `recompute` is not supported yet")
          .help("name the parts that are to be computed again");
    auto nodes = resolveNodes(selector, model.tree, clause.getLoc(),
                              FaultKind::SelectorMatchesNothing, evaluator.faults());
    if (failed(nodes))
      return failure();
    std::vector<const Part *> parts;
    for (const PartNode *node : *nodes)
      collectParts(*node, parts);
    if (parts.empty() && !nodes->empty())
      return fault(FaultKind::TypeMismatch, clause.getLoc(),
                   "`recompute " + selector.str() + "` names weights, but parts are needed")
          .help("name the part that `" + (*nodes)[0]->path() + "` belongs to");
    recomputed.push_back({clause, std::move(parts)});
  }
  return success();
}

LogicalResult Stage::checkRecompute(FunctionBuilder &function) {
  if (recomputed.empty())
    return success();
  llvm::DenseSet<mlir::Value> trainable;
  for (const auto &[weight, tensor] : function.weights())
    if (trained.contains(weight))
      trainable.insert(tensor.value);
  auto reached = function.segments.reached(function.function.getBody().front(), trainable);
  bool good = true;
  for (auto &[clause, parts] : recomputed) {
    if (parts.empty() || llvm::any_of(parts, [&](auto *part) { return reached.contains(part); }))
      continue;
    // Inside of another selected part there is nothing left to say.
    auto liesInside = [&](const Part *part) {
      for (const Part *outer = part->parent; outer; outer = outer->parent)
        if (reached.contains(outer))
          return true;
      return false;
    };
    if (llvm::any_of(parts, liesInside))
      continue;
    bool ran = llvm::any_of(parts, [&](auto *part) { return function.segments.ran(part); });
    std::string which = "`" + parts.front()->path() + "`" + (parts.size() > 1 ? " and the like" : "");
    good = false;
    (void)LogicalResult(
        fault(FaultKind::NothingToRecompute, clause.getLoc(),
              "`recompute " + clause.getSelector().str() + "` has nothing to compute again")
            .label(ran ? "no gradient passes through " + which
                       : "the loss does not run " + which)
            .help(ran ? "leave it out: nothing of a part that is only run forward is kept"
                      : "name parts that are called, or leave it out"));
  }
  return llvm::success(good);
}

} // namespace vcc::elaborate
