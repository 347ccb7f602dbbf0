// SPDX-License-Identifier: Apache-2.0
//
// One walk forward over the function, with users looked at through views.
#include "compiler/precision/Depth.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::precision;

bool precision::isMove(Operation *op) { return isa_and_nonnull<tg::ReshapeOp, tg::TransposeOp, tg::SliceOp>(op); }

bool precision::isProduct(Operation *op) {
  if (auto gather = dyn_cast_if_present<tg::GatherOp>(op))
    return isa<FloatType>(getElementTypeOrSelf(gather.getType()));
  return isa_and_nonnull<tg::DotGeneralOp, tg::AttentionOp>(op);
}

static bool isView(Operation *op) { return isMove(op) || isa<tg::BroadcastOp, tg::BarrierOp, tg::StopGradientOp>(op); }

Depth::Depth(Block &block) {
  for (Operation &op : block) {
    int deepest = 0;
    bool loss = isa<tg::CrossEntropyOp, tg::LogSoftmaxOp>(op);
    for (Value operand : op.getOperands()) {
      deepest = std::max(deepest, of(operand));
      loss |= isOfLoss(operand) && !isProduct(&op);
    }
    for (Value result : op.getResults()) {
      depths[result] = deepest + isProduct(&op);
      if (loss)
        ofLoss.insert(result);
    }
    if (isProduct(&op) || isView(&op))
      continue;
    for (Value operand : op.getOperands())
      for (Value seen = operand; seen;) {
        if (of(seen) < deepest)
          readLater.insert(seen);
        Operation *maker = seen.getDefiningOp();
        seen = maker && isView(maker) && maker->getNumOperands() == 1 ? maker->getOperand(0) : Value();
      }
  }
}

bool Depth::isReadLater(Value value) const { return readLater.contains(value); }
