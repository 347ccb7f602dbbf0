// SPDX-License-Identifier: Apache-2.0
//
// tg-widen-gradients. From each write of a gradient back to the products that it is a sum of.
#include "compiler/precision/Depth.h"
#include "compiler/precision/Passes.h"
#include "dialects/tg/Build.h"

namespace vcc::precision {
#define GEN_PASS_DEF_WIDENGRADIENTSPASS
#include "compiler/precision/Passes.h.inc"
} // namespace vcc::precision

using namespace mlir;
using namespace vcc;
using namespace vcc::precision;

/// A value of bf16 or f16, which nothing else reads, as it was before it was rounded; null where it cannot be had.
static Value beforeRounding(Value narrow, Type element) {
  Operation *op = narrow.getDefiningOp();
  if (!op || !narrow.hasOneUse())
    return {};
  OpBuilder builder(op);
  auto type = tg::tensorType(narrow).clone(element);
  if (auto cast = dyn_cast<tg::CastOp>(op))
    return tg::tensorType(cast.getX()).getElementType() == element ? cast.getX() : Value();
  if (auto dot = dyn_cast<tg::DotGeneralOp>(op))
    return builder.create<tg::DotGeneralOp>(op->getLoc(), type, dot.getA(), dot.getB(), dot.getBatchA(), dot.getBatchB(),
                                            dot.getContractA(), dot.getContractB());
  if (!isMove(op))
    return {};
  Value base = beforeRounding(op->getOperand(0), element);
  if (!base)
    return {};
  OperationState state(op->getLoc(), op->getName(), base, TypeRange{type}, op->getAttrs());
  return builder.create(state)->getResult(0);
}

/// So that what is left has the readers that it seems to have.
static void eraseUnread(Operation *op) {
  while (op && op->use_empty() && isPure(op)) {
    Operation *above = op->getNumOperands() == 1 ? op->getOperand(0).getDefiningOp() : nullptr;
    op->erase();
    op = above;
  }
}

namespace {

class Widening {
public:
  bool isGradient(tg::WriteOp write) {
    auto state = symbols.lookupNearestSymbolFrom<tg::StateOp>(write, write.getStateAttr());
    return state && state.getKind() == tg::StateKind::Gradient;
  }

  /// Unrounds the operand of `reader`, which is a gradient or a part of its sum.
  void widen(OpOperand &reader) {
    Value value = reader.get();
    Operation *op = value.getDefiningOp();
    if (!op || !isOfGradients(value))
      return;
    if (tg::isWidening(op)) {
      if (Value wide = beforeRounding(op->getOperand(0), tg::tensorType(value).getElementType())) {
        value.replaceAllUsesWith(wide);
        eraseUnread(op);
        widen(reader);
      }
      return;
    }
    if (isMove(op) || isa<tg::AddOp>(op))
      for (OpOperand &operand : op->getOpOperands())
        widen(operand);
  }

private:
  /// Whether nothing but gradients come of the value: it is one, which several weights may have, or a part of their sums.
  bool isOfGradients(Value value) {
    return llvm::all_of(value.getUsers(), [&](Operation *user) {
      if (auto write = dyn_cast<tg::WriteOp>(user))
        return isGradient(write);
      return (isMove(user) || isa<tg::AddOp>(user)) && isOfGradients(user->getResult(0));
    });
  }

  SymbolTableCollection symbols;
};

struct WidenGradientsPass : precision::impl::WidenGradientsPassBase<WidenGradientsPass> {
  void runOnOperation() override {
    Widening widening;
    SmallVector<tg::WriteOp> writes;
    getOperation()->walk([&](tg::WriteOp write) {
      if (widening.isGradient(write))
        writes.push_back(write);
    });
    for (tg::WriteOp write : writes)
      widening.widen(write.getValueMutable());
  }
};

} // namespace
