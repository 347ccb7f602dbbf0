// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/body/Body.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace vcc::codegen {

Type registerElement(Type Element) {
  if (Element.isF32() || Element.isF64() || Element.isBF16() || Element.isF16() || Element.isSignlessInteger(1) ||
      Element.isSignlessInteger(32) || Element.isSignlessInteger(64))
    return Element;
  if (Element.isInteger(8))
    return IntegerType::get(Element.getContext(), 8);
  return {};
}

/// softmax and log_softmax of a row, in the operations that they abbreviate.
static void splitSoftmax(tg::KernelOp Kernel) {
  SmallVector<Operation *> Found;
  for (Operation &Op : Kernel.getBody().front())
    if (isa<tg::SoftmaxOp, tg::LogSoftmaxOp>(Op))
      Found.push_back(&Op);
  for (Operation *Op : Found) {
    ImplicitLocOpBuilder B(Op->getLoc(), Op);
    Value X = Op->getOperand(0);
    auto Row = mlir::cast<RankedTensorType>(X.getType());
    auto One = RankedTensorType::get({}, Row.getElementType());
    auto Reduce = [&](Value V, tg::ReduceKind Kind) {
      return B.create<tg::ReduceOp>(One, V, tg::ReduceKindAttr::get(B.getContext(), Kind), B.getDenseI64ArrayAttr({0}));
    };
    auto Spread = [&](Value V) { return B.create<tg::BroadcastOp>(Row, V, B.getDenseI64ArrayAttr({})); };
    Value Centred = B.create<tg::SubOp>(Row, X, Spread(Reduce(X, tg::ReduceKind::Max)));
    Value E = B.create<tg::ExpOp>(Row, Centred);
    Value Sum = Reduce(E, tg::ReduceKind::Sum);
    Value Result = isa<tg::SoftmaxOp>(Op)
                       ? B.create<tg::DivOp>(Row, E, Spread(Sum)).getResult()
                       : B.create<tg::SubOp>(Row, Centred, Spread(B.create<tg::LogOp>(One, Sum))).getResult();
    Op->getResult(0).replaceAllUsesWith(Result);
    Op->erase();
  }
}

LogicalResult prepareBody(tg::KernelOp Kernel) {
  splitSoftmax(Kernel);
  for (Value V : Kernel.getBody().front().getArguments())
    if (mlir::cast<RankedTensorType>(V.getType()).getRank() > 1)
      return Kernel.emitOpError("has a parameter of more than one dimension");
  for (Operation &Op : Kernel.getBody().front())
    for (Type Type : Op.getResultTypes())
      if (auto Tensor = mlir::dyn_cast<RankedTensorType>(Type); !Tensor || Tensor.getRank() > 1)
        return Op.emitOpError("is no row and no scalar, which is all that a kernel can hold");
  return success();
}

BodyLevels::BodyLevels(Block &Body) : Body(Body) {
  for (Operation &Op : Body.without_terminator()) {
    unsigned Level = 0;
    for (Value Operand : Op.getOperands())
      Level = std::max(Level, Levels.lookup(Operand));
    if (isa<tg::ReduceOp>(Op)) {
      Last = std::max(Last, Level);
      ++Level;
    }
    for (Value Result : Op.getResults())
      Levels[Result] = Level;
  }
  for (Value Result : Body.getTerminator()->getOperands())
    if (isRow(Result))
      Last = std::max(Last, Levels.lookup(Result));
}

SmallVector<tg::ReduceOp> BodyLevels::reductionsOf(unsigned Level) const {
  SmallVector<tg::ReduceOp> Found;
  for (tg::ReduceOp Op : Body.getOps<tg::ReduceOp>())
    if (of(Op.getX()) == Level)
      Found.push_back(Op);
  return Found;
}

} // namespace vcc::codegen
