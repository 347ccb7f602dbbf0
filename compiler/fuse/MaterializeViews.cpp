// SPDX-License-Identifier: Apache-2.0
//
// tg-materialize-views: puts a copy (a barrier of one operand) where a reader needs a whole tensor but strides over
// something else are there.
#include "compiler/fuse/Passes.h"
#include "compiler/fuse/StridedViews.h"
#include "dialects/tg/Build.h"

#include <cmath>

namespace vcc::fuse {
#define GEN_PASS_DEF_MATERIALIZEVIEWSPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

class Materializer {
public:
  explicit Materializer(func::FuncOp function) : function(function) {}

  void run() {
    SmallVector<tg::ConcatOp> concats(function.getOps<tg::ConcatOp>());
    for (tg::ConcatOp concat : concats)
      narrowParts(concat);
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
      visit(&op);
  }

private:
  void visit(Operation *op) {
    if (auto barrier = dyn_cast<tg::BarrierOp>(op); barrier && barrier.getInputs().size() != 1)
      return visitBorder(barrier);
    if (auto copy = dyn_cast<tg::BarrierOp>(op))
      return shareCopy(copy);
    if (isViewOp(op))
      return visitView(op);
    if (isa<tg::ConcatOp>(op)) {
      // Each part is written straight into its place: a copy of its own, which merges into the kernel that makes it.
      for (OpOperand &operand : op->getOpOperands())
        operand.set(newCopy(op, operand.get()));
      return;
    }
    if (isa<tg::GemmOp, tg::AttentionOp, tg::AttentionGradOp, tg::ScatterAddOp, tg::AllGatherOp, tg::ReduceScatterOp, tg::WriteOp, tg::OutputOp, tg::LossOp>(op)) {
      for (OpOperand &operand : op->getOpOperands())
        wholeOperand(operand);
      return;
    }
    if (isa<tg::GatherOp>(op)) {
      wholeOperand(op->getOpOperand(0));
      StridedView ids = resolveView(op->getOperand(1));
      if (isSource(ids.base))
        op->getOpOperand(1).set(copyOf(op->getOperand(1)));
    }
  }

  /// A whole that is only read to be rounded has its parts rounded where they are made, and is half as large.
  static void narrowParts(tg::ConcatOp concat) {
    SmallVector<Operation *> readers;
    Value seen = concat.getResult();
    while (seen.hasOneUse()) {
      readers.push_back(*seen.user_begin());
      if (!isa<tg::ReshapeOp>(readers.back()))
        break;
      seen = readers.back()->getResult(0);
    }
    auto cast = readers.empty() ? tg::CastOp() : dyn_cast<tg::CastOp>(readers.back());
    Type narrow = cast ? elementOf(cast.getResult()) : Type();
    if (!cast || !elementOf(seen).isF32() || !(narrow.isBF16() || narrow.isF16()))
      return;
    OpBuilder builder(concat);
    SmallVector<Value> parts;
    for (Value part : concat.getInputs())
      parts.push_back(builder.create<tg::CastOp>(concat.getLoc(), tg::tensorType(part).clone(narrow), part));
    Value whole = tg::buildConcat(builder, concat.getLoc(), parts, static_cast<int64_t>(concat.getAxis()));
    if (whole.getType() != cast.getType())
      whole = builder.create<tg::ReshapeOp>(cast.getLoc(), cast.getType(), whole);
    cast.getResult().replaceAllUsesWith(whole);
    for (Operation *reader : llvm::reverse(readers))
      reader->erase();
    concat.erase();
  }

  /// A border stands for its operands in memory: what kernels make on the spot needs no standing for.
  void visitBorder(tg::BarrierOp border) {
    SmallVector<Value> kept, results;
    for (auto [operand, result] : llvm::zip(border.getInputs(), border.getOutputs())) {
      if (isSource(resolveView(operand).base)) {
        result.replaceAllUsesWith(operand);
        continue;
      }
      kept.push_back(operand);
      results.push_back(result);
    }
    if (kept.size() < border.getInputs().size()) {
      if (kept.empty())
        return border.erase();
      if (kept.size() == 1)
        kept.push_back(kept[0]); // of one operand it would be a copy
      OpBuilder builder(border);
      auto smaller = builder.create<tg::BarrierOp>(border.getLoc(), TypeRange(ValueRange(kept)), kept);
      smaller->setAttrs(border->getAttrs());
      for (auto [old, made] : llvm::zip(results, smaller.getOutputs()))
        old.replaceAllUsesWith(made);
      border.erase();
      border = smaller;
    }
    for (OpOperand &operand : border->getOpOperands())
      wholeOperand(operand);
  }

  /// Copies of the same elements of one tensor are one copy: the forward's and the backward's of a slice, say.
  void shareCopy(tg::BarrierOp copy) {
    StridedView view = resolveView(copy.getInputs()[0]);
    if (isSource(view.base))
      return;
    CollapsedDims dims = collapseDims(view.shape, view.strides);
    for (auto &[known, whole] : copiesOf[view.base]) {
      CollapsedDims other = collapseDims(known.shape, known.strides);
      if (known.offset != view.offset || other.sizes != dims.sizes || other.strides != dims.strides ||
          elementOf(whole) != elementOf(copy.getOutputs()[0]))
        continue;
      OpBuilder builder(copy);
      Value shared = whole;
      if (shared.getType() != copy.getOutputs()[0].getType())
        shared = builder.create<tg::ReshapeOp>(copy.getLoc(), copy.getOutputs()[0].getType(), shared);
      copy.getOutputs()[0].replaceAllUsesWith(shared);
      copy.erase();
      return;
    }
    copiesOf[view.base].push_back({view, copy.getOutputs()[0]});
  }

  /// Reshapes that strides cannot express, and views of what exists only inside kernels, get a copy to look at.
  void visitView(Operation *op) {
    Value operand = op->getOperand(0);
    StridedView view = resolveView(operand);
    if (auto reshape = dyn_cast<tg::ReshapeOp>(op); reshape && !reshapeView(view, shapeOf(reshape.getResult()))) {
      op->getOpOperand(0).set(copyOf(operand));
      return;
    }
    if (!isSource(view.base) || isSplat(view.base) || resolveView(op->getResult(0)).isWhole())
      return;
    auto iota = operand.getDefiningOp<tg::IotaOp>();
    auto broadcast = dyn_cast<tg::BroadcastOp>(op);
    if (iota && broadcast) {
      int64_t axis = broadcast.getAxes()[iota.getAxis()];
      if (shapeOf(broadcast.getResult())[axis] == shapeOf(operand)[iota.getAxis()]) {
        OpBuilder builder(op);
        op->getResult(0).replaceAllUsesWith(
            builder.create<tg::IotaOp>(op->getLoc(), op->getResult(0).getType(), axis).getResult());
        op->erase();
        return;
      }
    }
    op->getOpOperand(0).set(copyOf(operand));
  }

  /// Makes the operand a whole tensor: the base (reshaped) where that is enough, else a copy.
  void wholeOperand(OpOperand &operand) {
    Value value = operand.get();
    StridedView view = resolveView(value);
    // A state that is set to zero needs no kernel: the plan fills it.
    std::optional<double> number = isa<tg::WriteOp>(operand.getOwner()) ? tg::splatValue(view.base) : std::nullopt;
    if (number && *number == 0.0 && !std::signbit(*number)) {
      if (view.base != value)
        operand.set(zeroLike(operand));
      return;
    }
    if (!view.isWhole() || isSource(view.base) || elementOf(view.base) != elementOf(value)) {
      operand.set(copyOf(value));
      return;
    }
    if (view.base == value || isPlainAlias(value))
      return;
    OpBuilder builder(operand.getOwner());
    operand.set(builder.create<tg::ReshapeOp>(value.getLoc(), value.getType(), view.base));
  }

  static Value zeroLike(OpOperand &operand) {
    OpBuilder builder(operand.getOwner());
    return tg::buildSplat(builder, operand.getOwner()->getLoc(), tg::tensorType(operand.get()), 0.0);
  }

  static bool isPlainAlias(Value value) {
    while (auto reshape = value.getDefiningOp<tg::ReshapeOp>())
      value = reshape.getX();
    return !isViewOp(value.getDefiningOp());
  }

  /// One copy per value, right behind it.
  Value copyOf(Value value) {
    Value &copy = copies[value];
    if (!copy) {
      OpBuilder builder(function.getContext());
      builder.setInsertionPointAfterValue(value);
      copy = builder.create<tg::BarrierOp>(value.getLoc(), TypeRange{value.getType()}, ValueRange{value}).getResult(0);
    }
    return copy;
  }

  static Value newCopy(Operation *before, Value value) {
    OpBuilder builder(before);
    return builder.create<tg::BarrierOp>(value.getLoc(), TypeRange{value.getType()}, ValueRange{value}).getResult(0);
  }

  func::FuncOp function;
  DenseMap<Value, Value> copies;
  DenseMap<Value, SmallVector<std::pair<StridedView, Value>, 2>> copiesOf; ///< by what they are copies of
};

struct MaterializeViews : fuse::impl::MaterializeViewsPassBase<MaterializeViews> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        Materializer(function).run();
  }
};

} // namespace
