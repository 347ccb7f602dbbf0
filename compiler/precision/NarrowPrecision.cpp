// SPDX-License-Identifier: Apache-2.0
//
// tg-narrow-precision. One walk over each forward function: products and attention get operands of bf16 or f16, and a value that goes to
// memory anyway is rounded where it is made: all readers see the rounded value, so that kernels need not keep another.
#include "compiler/precision/Depth.h"
#include "compiler/precision/Passes.h"
#include "dialects/tg/Build.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace vcc::precision {
#define GEN_PASS_DEF_NARROWPRECISIONPASS
#include "compiler/precision/Passes.h.inc"
} // namespace vcc::precision

using namespace mlir;
using namespace vcc;
using namespace vcc::precision;

static bool isF32(Value value) { return tg::tensorType(value).getElementType().isF32(); }

/// The elements of a value that a vector is repeated to, or nothing: reshapes and one broadcast of a vector along the last axis.
static bool isRepeatedVector(Value value) {
  int64_t last = tg::tensorType(value).getShape().empty() ? 0 : tg::tensorType(value).getShape().back();
  bool repeated = false;
  Value base = value;
  while (Operation *op = base.getDefiningOp()) {
    if (auto broadcast = dyn_cast<tg::BroadcastOp>(op)) {
      int64_t axis = tg::tensorType(base).getRank() - 1;
      if (broadcast.getAxes().empty() || broadcast.getAxes().back() != axis)
        return false;
      repeated = true;
    } else if (!isa<tg::ReshapeOp>(op)) {
      break;
    }
    base = op->getOperand(0);
  }
  return repeated && tg::tensorType(base).getNumElements() == last;
}

namespace {

class Narrowing {
public:
  Narrowing(func::FuncOp function, Type element) : block(function.getBody().front()), depth(block), element(element) {}

  void run() {
    SmallVector<Operation *> ops;
    for (Operation &op : block)
      ops.push_back(&op);
    for (Operation *op : ops)
      visit(op);
  }

private:
  void visit(Operation *op) {
    if (auto dot = dyn_cast<tg::DotGeneralOp>(op))
      return visitDot(dot);
    if (auto attention = dyn_cast<tg::AttentionOp>(op))
      return visitAttention(attention);
    if (auto gather = dyn_cast<tg::GatherOp>(op))
      return visitGather(gather);
    if (auto barrier = dyn_cast<tg::BarrierOp>(op); barrier && barrier.getBorder())
      return visitBorder(barrier);
    for (Value result : op->getResults())
      if (ends.contains(result) || isKept(result))
        round(result);
  }

  /// Whether the value is an activation that has to pass through memory: no statistics, no table of positions, no loss.
  bool isKept(Value value) const {
    Operation *op = value.getDefiningOp();
    bool whole = op->hasTrait<OpTrait::Elementwise>() || isa<tg::ConcatOp, tg::PadOp>(op);
    return whole && isF32(value) && tg::tensorType(value).getRank() > 0 && depth.of(value) > 0 && !depth.isOfLoss(value) &&
           depth.isReadLater(value);
  }

  void visitDot(tg::DotGeneralOp op) {
    if (!isF32(op.getResult()))
      return;
    Value a = narrowed(op.getA()), b = narrowed(op.getB());
    OpBuilder builder(op);
    auto dot = builder.create<tg::DotGeneralOp>(op.getLoc(), op.getType(), a, b, op.getBatchA(), op.getBatchB(),
                                                op.getContractA(), op.getContractB());
    op.getResult().replaceAllUsesWith(dot.getResult());
    op.erase();
    Value end = endOf(dot.getResult());
    if (end == dot.getResult())
      round(end);
    else
      ends.insert(end);
  }

  /// The sum of a product with a bias and then a tensor that is in memory, as one library call gives it.
  Value endOf(Value product) {
    Value end = product, seen = product;
    bool bias = false;
    while (seen.hasOneUse()) {
      Operation *user = *seen.user_begin();
      if (isa<tg::ReshapeOp>(user)) {
        seen = user->getResult(0);
        continue;
      }
      auto add = dyn_cast<tg::AddOp>(user);
      if (!add || add.getLhs() == add.getRhs())
        return end;
      OpOperand &other = user->getOpOperand(add.getLhs() == seen ? 1 : 0);
      bool vector = isRepeatedVector(other.get());
      if (bias ? vector || !isInMemory(other.get()) : !vector && !isInMemory(other.get()))
        return end;
      if (vector)
        other.set(rounded(other.get()));
      end = seen = add.getResult();
      if (!vector)
        return end;
      bias = true;
    }
    return end;
  }

  /// Whether the value is a rounded one, whole.
  static bool isInMemory(Value value) {
    while (auto reshape = value.getDefiningOp<tg::ReshapeOp>())
      value = reshape.getX();
    return tg::isWidening(value.getDefiningOp());
  }

  void visitAttention(tg::AttentionOp op) {
    if (!isF32(op.getOut()))
      return;
    OpBuilder builder(op);
    auto narrow = builder.create<tg::AttentionOp>(
        op.getLoc(), narrowed(op.getQ()), narrowed(op.getK()), narrowed(op.getV()), op.getLengths(), op.getStarts(), op.getRng(),
        op.getCausalAttr(), op.getScaleAttr(), op.getDropoutAttr(), op.getSiteAttr(), op.getSamplesAttr());
    op.getLse().replaceAllUsesWith(narrow.getLse());
    op.getOut().replaceAllUsesWith(widened(builder, narrow.getOut()));
    op.erase();
  }

  /// Rows of an activation, or of a table that is stored narrow, are narrow; rows of a table that trains are rounded when they have been
  /// found, so that the table needs no copy.
  void visitGather(tg::GatherOp op) {
    if (!isF32(op.getResult()))
      return;
    Value table = op.getTable();
    if (depth.of(table) == 0 && !tg::isWidening(table.getDefiningOp()))
      return isa_and_nonnull<tg::ReadOp>(table.getDefiningOp()) ? round(op.getResult()) : void();
    OpBuilder builder(op);
    auto rows = builder.create<tg::GatherOp>(op.getLoc(), narrowed(table), op.getIds());
    op.getResult().replaceAllUsesWith(widened(builder, rows.getResult()));
    op.erase();
  }

  void visitBorder(tg::BarrierOp op) {
    Value value = op.getInputs()[0];
    if (!isF32(value) || tg::tensorType(value).getRank() == 0 || depth.of(op.getOutputs()[0]) == 0 ||
        depth.isOfLoss(op.getOutputs()[0]))
      return;
    OpBuilder builder(op);
    Value narrow = narrowed(value);
    auto border = builder.create<tg::BarrierOp>(op.getLoc(), TypeRange{narrow.getType()}, ValueRange{narrow}, op.getBorderAttr());
    op.getOutputs()[0].replaceAllUsesWith(widened(builder, border.getOutputs()[0]));
    op.erase();
  }

  /// All readers of the value read it rounded.
  void round(Value value) {
    SmallVector<OpOperand *> uses;
    for (OpOperand &use : value.getUses())
      uses.push_back(&use);
    Value narrow = narrowed(value);
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(narrow);
    Value wide = widened(builder, narrow);
    for (OpOperand *use : uses)
      use->set(wide);
  }

  /// A value seen through reshapes and broadcasts with what they look at rounded.
  Value rounded(Value value) {
    Operation *op = value.getDefiningOp();
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    if (!isa_and_nonnull<tg::ReshapeOp, tg::BroadcastOp>(op)) {
      Value narrow = narrowed(value);
      builder.setInsertionPointAfterValue(narrow);
      return widened(builder, narrow);
    }
    Value base = rounded(op->getOperand(0));
    Operation *again = builder.clone(*op);
    again->setOperand(0, base);
    return again->getResult(0);
  }

  /// The value rounded, right behind where it is made. What moves elements moves them rounded.
  Value narrowed(Value value) {
    if (Value known = narrows.lookup(value))
      return known;
    Operation *op = value.getDefiningOp();
    auto type = tg::tensorType(value).clone(element);
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    Value narrow;
    if (tg::isWidening(op) && op->getOperand(0).getType() == type) {
      narrow = op->getOperand(0);
    } else if (isMove(op) || isa_and_nonnull<tg::ConcatOp>(op)) {
      SmallVector<Value> parts;
      for (Value operand : op->getOperands())
        parts.push_back(narrowed(operand));
      OperationState state(op->getLoc(), op->getName(), parts, TypeRange{type}, op->getAttrs());
      narrow = builder.create(state)->getResult(0);
    } else {
      narrow = builder.create<tg::CastOp>(value.getLoc(), type, value);
    }
    return narrows[value] = narrow;
  }

  static Value widened(OpBuilder &builder, Value narrow) {
    return builder.create<tg::CastOp>(narrow.getLoc(), tg::tensorType(narrow).clone(builder.getF32Type()), narrow);
  }

  Block &block;
  Depth depth;
  Type element; ///< of two bytes
  llvm::DenseMap<Value, Value> narrows;
  llvm::DenseSet<Value> ends; ///< sums that a product gives, still to be rounded
};

/// Which states of a stage are stored in two bytes from now on.
class Storage {
public:
  Storage(ModuleOp stage, Type element) : stage(stage), element(element) {}

  void narrow() {
    llvm::StringSet<> others = usedOtherwise();
    for (auto state : stage.getOps<tg::StateOp>()) {
      auto type = state.getTensorType();
      if (state.getKind() != tg::StateKind::Weight || state.getTrainable() || state.getStorage() ||
          !type.getElementType().isF32() || others.contains(state.getSymName()))
        continue;
      auto narrow = cast<RankedTensorType>(type.clone(element));
      state.setTypeAttr(TypeAttr::get(narrow));
      stored[state.getSymName()] = narrow;
    }
    for (auto function : stage.getOps<func::FuncOp>())
      for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
        follow(&op);
  }

private:
  /// Storages of other states, and states that steps change: their sums need what rounding cuts off.
  llvm::StringSet<> usedOtherwise() {
    llvm::StringSet<> others;
    for (auto state : stage.getOps<tg::StateOp>())
      if (state.getStorage())
        others.insert(*state.getStorage());
    for (auto function : stage.getOps<func::FuncOp>())
      if (function.getSymName() != "init")
        for (auto write : function.getOps<tg::WriteOp>())
          others.insert(write.getState());
    return others;
  }

  void follow(Operation *op) {
    OpBuilder builder(op->getContext());
    if (auto read = dyn_cast<tg::ReadOp>(op)) {
      RankedTensorType narrow = stored.lookup(read.getState());
      if (!narrow)
        return;
      Type wide = read.getType();
      read.getResult().setType(narrow);
      builder.setInsertionPointAfter(read);
      auto cast = builder.create<tg::CastOp>(read.getLoc(), wide, read.getResult());
      read.getResult().replaceAllUsesExcept(cast.getResult(), cast);
    } else if (auto write = dyn_cast<tg::WriteOp>(op)) {
      RankedTensorType narrow = stored.lookup(write.getState());
      if (!narrow)
        return;
      builder.setInsertionPoint(write);
      write.getValueMutable().assign(builder.create<tg::CastOp>(write.getLoc(), narrow, write.getValue()));
    }
  }

  ModuleOp stage;
  Type element;
  llvm::StringMap<RankedTensorType> stored;
};

struct NarrowPrecisionPass : precision::impl::NarrowPrecisionPassBase<NarrowPrecisionPass> {
  using NarrowPrecisionPassBase::NarrowPrecisionPassBase;

  void runOnOperation() override {
    Type element = half ? Type(Float16Type::get(&getContext())) : Type(BFloat16Type::get(&getContext()));
    SmallVector<ModuleOp> stages;
    getOperation()->walk([&](ModuleOp stage) { stages.push_back(stage); });
    for (ModuleOp stage : stages) {
      Storage(stage, element).narrow();
      for (auto function : stage.getOps<func::FuncOp>())
        if (function.getSymName().starts_with("forward_") || function.getSymName().starts_with("evaluate_"))
          Narrowing(function, element).run();
    }
  }
};

} // namespace
