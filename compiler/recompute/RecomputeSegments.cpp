// SPDX-License-Identifier: Apache-2.0
//
// tg-recompute-segments. A segment's copy stands before the first reader behind the loss of what only this segment makes.
// What several segments share (tables of positions, say) each of them computes again for the readers up to the next
// copy, so that nothing of a segment lives through the whole backward.
#include "compiler/recompute/Passes.h"
#include "compiler/recompute/Segment.h"
#include "mlir/IR/IRMapping.h"

namespace vcc::recompute {
#define GEN_PASS_DEF_RECOMPUTESEGMENTSPASS
#include "compiler/recompute/Passes.h.inc"
} // namespace vcc::recompute

using namespace mlir;
using namespace vcc;
using namespace vcc::recompute;

/// Whoever reads beyond a border reads what it stands for.
static SmallVector<tg::BarrierOp> openBorders(func::FuncOp function) {
  SmallVector<tg::BarrierOp> borders;
  for (auto barrier : function.getOps<tg::BarrierOp>())
    if (barrier.getBorder()) {
      barrier.replaceAllUsesWith(barrier.getInputs());
      borders.push_back(barrier);
    }
  return borders;
}

namespace {

class Recomputer {
public:
  Recomputer(func::FuncOp function, tg::LossOp loss)
      : function(function), loss(loss), order(function.getBody().front()), behind(order.of(loss)) {}

  void run() {
    for (auto &[number, segment] : findSegments(function.getBody().front(), order))
      segments.push_back(std::move(segment));
    // Gone only at the end: until then no new operation may take their address, by which places are known.
    SmallVector<tg::BarrierOp> borders = openBorders(function);
    countOwners();
    for (Segment &segment : segments)
      if (Operation *first = firstReader(segment))
        copies.push_back({&segment, first});
    llvm::stable_sort(copies, [&](const Copy &a, const Copy &b) { return order.of(a.before) < order.of(b.before); });
    for (auto [i, copy] : llvm::enumerate(copies)) {
      copy.end = i + 1 < copies.size() ? order.of(copies[i + 1].before) : std::numeric_limits<int>::max();
      computeAgain(copy);
    }
    for (tg::BarrierOp border : borders)
      border.erase();
  }

private:
  struct Copy {
    Segment *segment;
    Operation *before; ///< where it is put
    int end = 0;       ///< place of the next copy
  };

  void countOwners() {
    for (const Segment &segment : segments)
      for (Operation *op : segment.members)
        ++owners[op];
  }

  bool isBackward(Operation *op) const { return order.of(op) > behind; }

  Operation *firstReader(const Segment &segment) const {
    Operation *first = nullptr;
    for (Operation *op : segment.members)
      if (owners.lookup(op) == 1)
        for (Operation *user : op->getUsers())
          if (isBackward(user) && (!first || order.of(user) < order.of(first)))
            first = user;
    return first;
  }

  /// The readers that get the copy of a member.
  SmallVector<OpOperand *> readersOf(const Copy &copy, Operation *member) const {
    SmallVector<OpOperand *> readers;
    int end = owners.lookup(member) == 1 ? std::numeric_limits<int>::max() : copy.end;
    for (Value result : member->getResults())
      for (OpOperand &use : result.getUses())
        if (int place = order.of(use.getOwner()); place >= order.of(copy.before) && place < end)
          readers.push_back(&use);
    return readers;
  }

  void computeAgain(const Copy &copy) {
    SmallVector<OpOperand *> readers;
    llvm::DenseSet<Operation *> needed;
    for (Operation *op : llvm::reverse(copy.segment->members)) {
      SmallVector<OpOperand *> own = readersOf(copy, op);
      readers.append(own);
      bool read = !own.empty() ||
                  llvm::any_of(op->getUsers(), [&](Operation *user) { return needed.contains(user); });
      if (read)
        needed.insert(op);
    }
    OpBuilder builder(copy.before);
    IRMapping mapping;
    enter(builder, copy, needed, readers, mapping);
    for (Operation *op : copy.segment->members)
      if (needed.contains(op))
        builder.clone(*op, mapping);
    for (OpOperand *reader : readers)
      reader->set(mapping.lookup(reader->get()));
  }

  /// What an operation reads from outside through the barrier: what enters; and of what is always there, what nothing
  /// else would tell the copy apart by.
  bool isBarred(const Segment &segment, Operation *member, Value operand) const {
    SmallVector<Operation *> views;
    Operation *maker = lookThrough(operand, views).getDefiningOp();
    if (isa<tg::ConstantOp>(maker))
      return false;
    return !isAlwaysThere(maker) || !segment.dependent.contains(member);
  }

  void enter(OpBuilder &builder, const Copy &copy, const llvm::DenseSet<Operation *> &needed,
             ArrayRef<OpOperand *> readers, IRMapping &mapping) {
    llvm::SetVector<Value> bases;
    SmallVector<std::pair<Value, SmallVector<Operation *>>> entering;
    llvm::DenseSet<Value> seen;
    for (Operation *op : copy.segment->members) {
      if (!needed.contains(op))
        continue;
      for (Value operand : op->getOperands()) {
        if (needed.contains(operand.getDefiningOp()) || !isBarred(*copy.segment, op, operand) || !seen.insert(operand).second)
          continue;
        SmallVector<Operation *> views;
        bases.insert(lookThrough(operand, views));
        entering.push_back({operand, std::move(views)});
      }
    }
    if (bases.empty())
      return;
    bases.insert(newestOf(copy, readers));
    if (bases.size() == 1)
      bases.insert(loss.getValue());
    auto barrier = builder.create<tg::BarrierOp>(copy.before->getLoc(), ValueRange(bases.getArrayRef()).getTypes(),
                                                 bases.getArrayRef());
    IRMapping barred;
    for (auto [base, result] : llvm::zip(bases, barrier.getOutputs()))
      barred.map(base, result);
    for (auto &[operand, views] : entering) {
      // A view is looked at again instead of being copied for the barrier.
      for (Operation *view : views)
        if (!barred.contains(view->getResult(0)))
          builder.clone(*view, barred);
      mapping.map(operand, barred.lookup(operand));
    }
  }

  /// The newest cotangent that is there for the readers, so that the copy waits for it.
  Value newestOf(const Copy &copy, ArrayRef<OpOperand *> readers) {
    Value newest = loss.getValue();
    int place = -1;
    auto consider = [&](Value value) {
      SmallVector<Operation *> views;
      Value base = lookThrough(value, views);
      int made = order.of(base.getDefiningOp());
      if (isBackward(base.getDefiningOp()) && !isAlwaysThere(base.getDefiningOp()) && made > place &&
          made < order.of(copy.before)) {
        newest = base;
        place = made;
      }
    };
    for (OpOperand *reader : readers)
      for (Value operand : reader->getOwner()->getOperands())
        consider(operand);
    return newest;
  }

  func::FuncOp function;
  tg::LossOp loss;
  ProgramOrder order;
  int behind;
  SmallVector<Segment, 0> segments;
  SmallVector<Copy> copies;
  llvm::DenseMap<Operation *, int> owners;
};

struct RecomputeSegmentsPass : recompute::impl::RecomputeSegmentsPassBase<RecomputeSegmentsPass> {
  void runOnOperation() override {
    SmallVector<func::FuncOp> functions;
    getOperation()->walk([&](func::FuncOp function) {
      if (!function.isExternal())
        functions.push_back(function);
    });
    for (func::FuncOp function : functions) {
      auto losses = function.getOps<tg::LossOp>();
      if (!losses.empty())
        Recomputer(function, *losses.begin()).run();
      else
        for (tg::BarrierOp border : openBorders(function))
          border.erase();
    }
  }
};

} // namespace

bool recompute::hasSegments(ModuleOp stage) {
  return stage
      .walk([](tg::BarrierOp barrier) { return barrier.getBorder() ? WalkResult::interrupt() : WalkResult::advance(); })
      .wasInterrupted();
}
