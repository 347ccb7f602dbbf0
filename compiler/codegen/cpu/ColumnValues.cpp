// SPDX-License-Identifier: Apache-2.0
//
// Which values a phase needs and which are kept between phases; a value of a row, or of a chunk of its columns.
#include "compiler/codegen/cpu/ColumnEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace vcc::cpu {

constexpr int64_t KeptBytes = 256 * 1024;

//===- What is computed when ----------------------------------------------------------------------------------------===//

bool ColumnEmitter::isDear(Value V) {
  if (auto Argument = dyn_cast<BlockArgument>(V)) {
    if (Frame.isUniform(Argument.getArgNumber()))
      return false;
    int64_t Stride = Frame.buffer(Frame.bufferOfArgument(Argument.getArgNumber())).InnerStride;
    return Stride != 0 && Stride != 1;
  }
  return Pointwise::isExpensive(V.getDefiningOp());
}

void ColumnEmitter::visitNeeds(Value V, unsigned Number, llvm::DenseMap<Value, unsigned> &First) {
  if (!isRow(V))
    return;
  auto [Entry, New] = First.try_emplace(V, Number);
  if (!New && Entry->second == Number)
    return;
  if (!New && isDear(V)) {
    KeptValues.try_emplace(V, Kept{Entry->second, {}});
    return;
  }
  Entry->second = Number;
  if (Operation *Op = V.getDefiningOp())
    if (!isa<tg::BroadcastOp>(Op))
      for (Value Operand : Op->getOperands())
        visitNeeds(Operand, Number, First);
}

void ColumnEmitter::chooseKept() {
  llvm::DenseMap<Value, unsigned> First;
  for (unsigned Number = 0; Number <= Levels.last(); ++Number) {
    for (tg::ReduceOp Op : Levels.reductionsOf(Number))
      visitNeeds(Op.getX(), Number, First);
    if (Number == Levels.last())
      for (Value Result : Body.getTerminator()->getOperands())
        visitNeeds(Result, Number, First);
  }
  int64_t Bytes = 0, Padded = llvm::alignTo(Columns, Lanes);
  SmallVector<Value> Order;
  for (auto &Entry : KeptValues)
    Order.push_back(Entry.first);
  // In the order of the body: a map of pointers has another order in every run of the compiler.
  auto Rank = [&](Value V) {
    if (auto Argument = dyn_cast<BlockArgument>(V))
      return int64_t(Argument.getArgNumber());
    int64_t Place = Body.getNumArguments();
    for (Operation *Op = V.getDefiningOp(); Op; Op = Op->getPrevNode())
      ++Place;
    return Place;
  };
  llvm::sort(Order, [&](Value A, Value C) { return Rank(A) < Rank(C); });
  for (Value V : Order) {
    Type Element = registerType(V);
    Type Storage = Element.isInteger(1) ? B.getI8Type() : Element;
    Bytes += Padded * (Storage.getIntOrFloatBitWidth() / 8);
    if (Bytes > KeptBytes) {
      KeptValues.erase(V);
      continue;
    }
    KernelBuffer &Scratch = KeptValues[V].Scratch;
    Scratch.Element = elementOf(V);
    Scratch.Storage = Storage;
    Scratch.Base = Frame.scratch(Storage, Padded);
  }
}

int64_t ColumnEmitter::vectorWork() {
  int64_t PerVector = 0;
  for (Operation &Op : Body.without_terminator())
    if (llvm::any_of(Op.getResults(), isRow))
      PerVector += Pointwise::isExpensive(&Op) ? 8 : 1;
  return PerVector * llvm::divideCeil(Columns, Lanes);
}

//===- Values -------------------------------------------------------------------------------------------------------===//

void ColumnEmitter::preparePointers(ArrayRef<Value> Offsets) {
  Pointers.assign(Frame.bufferCount(), {});
  auto Point = [&](unsigned Number) {
    KernelBuffer &Buffer = Frame.buffer(Number);
    if (!Buffer.IsSum)
      Pointers[Number] = Frame.address(Buffer.Base, Offsets[Number], Buffer.Storage);
  };
  auto MoveByIndex = [&](unsigned Number) {
    KernelBuffer &Buffer = Frame.buffer(Number);
    if (Buffer.Index < 0)
      return;
    Value Row = Frame.clampedIndex(scalar(Body.getArgument(Buffer.Index)), Buffer);
    Value Offset = B.create<arith::MulIOp>(Row, Buffer.IndexStride);
    Pointers[Number] = Frame.address(Pointers[Number], Offset, Buffer.Storage);
  };
  for (unsigned I = 0; I < Frame.bufferCount(); ++I)
    Point(I);
  // Scalars are read at once: a result may lie where they lie.
  for (BlockArgument Argument : Body.getArguments())
    if (!isRow(Argument) && (Frame.isUniform(Argument.getArgNumber()) ||
                             Frame.buffer(Frame.bufferOfArgument(Argument.getArgNumber())).Index < 0))
      scalar(Argument);
  for (unsigned I = 0; I < Frame.bufferCount(); ++I)
    MoveByIndex(I);
  for (BlockArgument Argument : Body.getArguments())
    if (!isRow(Argument))
      scalar(Argument);
}

Value ColumnEmitter::scalar(Value V) {
  auto Found = Scalars.find(V);
  if (Found != Scalars.end())
    return Found->second;
  Value Result;
  Operation *Op = V.getDefiningOp();
  if (auto Argument = dyn_cast<BlockArgument>(V)) {
    unsigned I = Argument.getArgNumber();
    if (Frame.isUniform(I)) {
      Result = Frame.uniform(I);
    } else {
      unsigned Number = Frame.bufferOfArgument(I);
      Result = Mem.loadScalar(Pointers[Number], Frame.buffer(Number));
    }
  } else if (isa<tg::RowIndexOp>(Op)) {
    Result = B.create<arith::TruncIOp>(B.getI32Type(), RowNumber);
  } else if (auto Literal = dyn_cast<tg::ConstantOp>(Op)) {
    Result = splatScalar(Literal, 0);
  } else if (isa<tg::BroadcastOp, tg::ReshapeOp>(Op) && !isRow(Op->getOperand(0))) {
    Result = scalar(Op->getOperand(0));
  } else {
    Values Operands;
    for (Value Operand : Op->getOperands()) {
      if (isRow(Operand)) {
        Op->emitOpError("makes a row scalar from a row, which a CPU kernel can do by tg.reduce only");
        fail();
        return B.create<arith::ConstantOp>(B.getZeroAttr(registerType(V)));
      }
      Operands.push_back(scalar(Operand));
    }
    FailureOr<Value> Made = Failed ? FailureOr<Value>(failure()) : Ops.emit(Op, Operands);
    if (failed(Made))
      fail();
    Result = succeeded(Made) ? *Made : Value(B.create<arith::ConstantOp>(B.getZeroAttr(registerType(V))));
  }
  return Scalars[V] = Result;
}

void ColumnEmitter::emitScalars(unsigned Level) {
  for (Operation &Op : Body.without_terminator())
    if (!isa<tg::ReduceOp>(Op) && Op.getNumResults() == 1 && !isRow(Op.getResult(0)) &&
        Levels.of(Op.getResult(0)) <= Level)
      scalar(Op.getResult(0));
}

Value ColumnEmitter::strided(KernelBuffer &Buffer, Value) {
  return Mem.steps(B.getI64Type(), Buffer.InnerStride);
}

Value ColumnEmitter::parameter(BlockArgument Argument, Chunk &C) {
  unsigned Number = Frame.bufferOfArgument(Argument.getArgNumber());
  KernelBuffer &Buffer = Frame.buffer(Number);
  if (Buffer.InnerStride == 0)
    return Mem.splat(Mem.loadScalar(Pointers[Number], Buffer));
  if (Buffer.InnerStride == 1)
    return Mem.load(Frame.address(Pointers[Number], C.Column, Buffer.Storage), Buffer, C.Mask);
  Value First = B.create<arith::MulIOp>(C.Column, Frame.constant(Buffer.InnerStride));
  return Mem.gather(Frame.address(Pointers[Number], First, Buffer.Storage), strided(Buffer, First), Buffer, C.Mask);
}

Value ColumnEmitter::literal(tg::ConstantOp Op, Chunk &C) {
  if (Value Splat = splatScalar(Op, -1))
    return Mem.splat(Splat);
  KernelBuffer Table;
  Table.Element = elementOf(Op.getResult());
  Table.Storage = Table.Element.isInteger(1) ? B.getI8Type() : registerType(Op.getResult());
  return Mem.load(Frame.address(Tables[Op], C.Column, Table.Storage), Table, C.Mask);
}

Value ColumnEmitter::compute(Value V, Chunk &C) {
  if (auto Argument = dyn_cast<BlockArgument>(V))
    return parameter(Argument, C);
  Operation *Op = V.getDefiningOp();
  if (isa<tg::BroadcastOp, tg::ReshapeOp>(Op))
    return isRow(Op->getOperand(0)) ? at(Op->getOperand(0), C) : Mem.splat(Scalars.lookup(Op->getOperand(0)));
  if (auto Literal = dyn_cast<tg::ConstantOp>(Op))
    return literal(Literal, C);
  if (isa<tg::IotaOp>(Op)) {
    Value First = B.create<arith::TruncIOp>(B.getI32Type(), C.Column);
    Value Places = B.create<arith::AddIOp>(Mem.splat(First), Mem.steps(B.getI32Type()));
    Type Element = elementOf(V);
    if (Element.isInteger(32))
      return Places;
    Type T = Mem.vectorOf(registerType(V));
    if (isa<FloatType>(Element))
      return B.create<arith::SIToFPOp>(T, Places);
    return Element.isInteger(64) ? Value(B.create<arith::ExtSIOp>(T, Places))
                                 : Value(B.create<arith::TruncIOp>(T, Places));
  }
  Values Operands;
  for (Value Operand : Op->getOperands())
    Operands.push_back(isRow(Operand) ? at(Operand, C) : Mem.splat(Scalars.lookup(Operand)));
  FailureOr<Value> Result = Failed ? FailureOr<Value>(failure()) : Ops.emit(Op, Operands);
  if (succeeded(Result))
    return *Result;
  fail();
  return B.create<arith::ConstantOp>(B.getZeroAttr(Mem.vectorOf(registerType(V))));
}

Value ColumnEmitter::at(Value V, Chunk &C) {
  auto Found = C.Known.find(V);
  if (Found != C.Known.end())
    return Found->second;
  auto Keep = KeptValues.find(V);
  Value Result;
  if (Keep != KeptValues.end() && !InRegisters && Keep->second.Phase < Phase) {
    KernelBuffer &Scratch = Keep->second.Scratch;
    Result = Mem.load(Frame.address(Scratch.Base, C.Column, Scratch.Storage), Scratch, {});
  } else {
    Result = compute(V, C);
    if (Keep != KeptValues.end() && !InRegisters) {
      KernelBuffer &Scratch = Keep->second.Scratch;
      Mem.store(Result, Frame.address(Scratch.Base, C.Column, Scratch.Storage), Scratch, {});
    }
  }
  C.Known[V] = Result;
  return Result;
}

} // namespace vcc::cpu
