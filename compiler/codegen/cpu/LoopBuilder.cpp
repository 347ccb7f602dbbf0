// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/cpu/LoopBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace vcc::cpu {

LLVM::LLVMFuncOp LoopBuilder::openFunction(StringRef Name) {
  auto Type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(B.getContext()), {Pointer, Pointer, I64, I64});
  auto Function = B.create<LLVM::LLVMFuncOp>(Name, Type);
  for (unsigned I : {0u, 1u})
    for (StringRef Attribute : {LLVM::LLVMDialect::getReadonlyAttrName(), LLVM::LLVMDialect::getNoAliasAttrName()})
      Function.setArgAttr(I, Attribute, B.getUnitAttr());
  B.setInsertionPointToStart(Function.addEntryBlock(B));
  return Function;
}

Value LoopBuilder::constant(int64_t Number) { return B.create<arith::ConstantOp>(B.getI64IntegerAttr(Number)); }

Value LoopBuilder::address(Value Base, Value Index, Type Element) {
  return B.create<LLVM::GEPOp>(Pointer, Element, Base, ArrayRef<LLVM::GEPArg>{Index});
}

Value LoopBuilder::addMul(Value A, Value Factor, Value Other) {
  return B.create<arith::AddIOp>(A, B.create<arith::MulIOp>(Factor, Other));
}

Values LoopBuilder::loop(Value From, Value To, Value Step, ValueRange Carried,
                         llvm::function_ref<Values(Value, ValueRange)> Body) {
  auto For = B.create<scf::ForOp>(From, To, Step, Carried);
  OpBuilder::InsertionGuard Guard(B);
  Block *Block = For.getBody();
  if (Block->mightHaveTerminator())
    Block->getTerminator()->erase();
  B.setInsertionPointToEnd(Block);
  Values Next = Body(For.getInductionVar(), For.getRegionIterArgs());
  B.create<scf::YieldOp>(Next);
  return Values(For.getResults());
}

} // namespace vcc::cpu
