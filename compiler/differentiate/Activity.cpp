// SPDX-License-Identifier: Apache-2.0
//
// Activity: one pass forward over the operations, one pass back over what the losses use.
#include "compiler/differentiate/Activity.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::differentiate;

static bool isFloat(Value V) { return isa<FloatType>(getElementTypeOrSelf(V.getType())); }

Activity::Activity(func::FuncOp Function, SymbolTable &Symbols) {
  if (Function.getBody().empty())
    return;
  for (Operation &Op : Function.getBody().front())
    visit(Op, Symbols);
  // A use counts only where a cotangent can come back from it.
  for (auto &[Path, Use] : Weights)
    for (Value Read : Use.Reads)
      for (Operation *User : Read.getUsers())
        if (llvm::any_of(User->getResults(), [&](Value V) { return isActive(V); }) &&
            (!Use.First || User->isBeforeInBlock(Use.First)))
          Use.First = User;
}

void Activity::visit(Operation &Op, SymbolTable &Symbols) {
  if (auto Read = dyn_cast<tg::ReadOp>(Op)) {
    auto State = Symbols.lookup<tg::StateOp>(Read.getState());
    if (!State || !State.getTrainable() || !isFloat(Read))
      return;
    Active.insert(Read);
    Weights[Read.getState()].Reads.push_back(Read);
    return;
  }
  if (isa<tg::StopGradientOp>(Op) || llvm::none_of(Op.getOperands(), [&](Value V) { return isActive(V); }))
    return;
  for (Value Result : Op.getResults())
    if (isFloat(Result))
      Active.insert(Result);
}

llvm::DenseSet<StringRef> Activity::reachedFrom(ArrayRef<tg::LossOp> Losses) const {
  SmallVector<Value> Open;
  llvm::DenseSet<Value> Seen;
  auto Enter = [&](Value V) {
    if (isActive(V) && Seen.insert(V).second)
      Open.push_back(V);
  };
  for (tg::LossOp Loss : Losses)
    Enter(Loss.getValue());
  llvm::DenseSet<StringRef> Reached;
  while (!Open.empty()) {
    Operation *Op = Open.pop_back_val().getDefiningOp();
    if (auto Read = dyn_cast_if_present<tg::ReadOp>(Op))
      Reached.insert(Read.getState());
    if (Op)
      llvm::for_each(Op->getOperands(), Enter);
  }
  return Reached;
}

SmallVector<tg::LossOp> vcc::differentiate::lossesOf(func::FuncOp Function) {
  if (Function.getBody().empty())
    return {};
  return SmallVector<tg::LossOp>(Function.getBody().front().getOps<tg::LossOp>());
}
