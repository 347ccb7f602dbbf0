// SPDX-License-Identifier: Apache-2.0
//
// What belongs to a segment: from the values that leave it back to those that enter it.
#include "compiler/recompute/Segment.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::recompute;

ProgramOrder::ProgramOrder(Block &block) {
  int next = 0;
  for (Operation &op : block)
    places[&op] = next++;
}

int ProgramOrder::of(Operation *op) const {
  auto found = places.find(op);
  return found == places.end() ? -1 : found->second;
}

bool recompute::isAlwaysThere(Operation *op) { return isa<tg::ReadOp, tg::InputOp, tg::ConstantOp, tg::IotaOp>(op); }

static bool isView(Operation *op) { return isa<tg::ReshapeOp, tg::TransposeOp, tg::SliceOp, tg::BroadcastOp>(op); }

Value recompute::lookThrough(Value value, SmallVectorImpl<Operation *> &views) {
  while (isView(value.getDefiningOp())) {
    views.push_back(value.getDefiningOp());
    value = views.back()->getOperand(0);
  }
  std::reverse(views.begin(), views.end());
  return value;
}

static bool isBorder(Operation *op) {
  auto barrier = dyn_cast<tg::BarrierOp>(op);
  return barrier && barrier.getBorder();
}

/// What the leaving values are made from, stopping where something enters.
static SmallVector<Operation *> operationsInside(ArrayRef<tg::BarrierOp> leaves, const ProgramOrder &order) {
  SmallVector<Operation *> inside, open;
  llvm::DenseSet<Operation *> seen;
  auto visit = [&](Value operand) {
    Operation *op = operand.getDefiningOp();
    if (isAlwaysThere(op) || isBorder(op) || !isPure(op) || !seen.insert(op).second)
      return;
    inside.push_back(op);
    open.push_back(op);
  };
  for (tg::BarrierOp leave : leaves)
    visit(leave.getInputs()[0]);
  while (!open.empty())
    for (Value operand : open.pop_back_val()->getOperands())
      visit(operand);
  llvm::sort(inside, [&](Operation *a, Operation *b) { return order.of(a) < order.of(b); });
  return inside;
}

/// Whether the operation has anything to be told apart by: all that constants give is equal wherever it stands.
static bool dependsOnMore(Operation *op, const llvm::DenseSet<Operation *> &members) {
  return llvm::any_of(op->getOperands(), [&](Value operand) {
    Operation *maker = operand.getDefiningOp();
    return !isa<tg::ConstantOp>(maker) && (isAlwaysThere(maker) || members.contains(maker));
  });
}

static void fill(Segment &segment, const ProgramOrder &order) {
  llvm::DenseSet<Operation *> members;
  for (Operation *op : operationsInside(segment.leaves, order)) {
    bool dependent = llvm::any_of(op->getOperands(), [&](Value operand) {
      Operation *maker = operand.getDefiningOp();
      return segment.dependent.contains(maker) || isBorder(maker) ||
             (!isAlwaysThere(maker) && !isPure(maker));
    });
    SmallVector<Operation *> views;
    bool free = isView(op) && isAlwaysThere(lookThrough(op->getResult(0), views).getDefiningOp());
    if (!dependent && (free || !dependsOnMore(op, members)))
      continue;
    members.insert(op);
    segment.members.push_back(op);
    if (dependent)
      segment.dependent.insert(op);
  }
}

llvm::MapVector<int64_t, Segment> recompute::findSegments(Block &block, const ProgramOrder &order) {
  llvm::MapVector<int64_t, Segment> segments;
  for (auto barrier : block.getOps<tg::BarrierOp>())
    if (isBorder(barrier) && barrier.getBorder()->getSide() == tg::BorderSide::Leave)
      segments[barrier.getBorder()->getSegment()].leaves.push_back(barrier);
  for (auto &[number, segment] : segments)
    fill(segment, order);
  return segments;
}
