// SPDX-License-Identifier: Apache-2.0
//
// Prologue and row walk. Everything that does not change from row to row is read once, before any store could hide from LLVM that
// it stays the same.
#include "compiler/codegen/cpu/KernelFrame.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cpu {

KernelFrame::KernelFrame(tg::KernelOp Kernel, const CpuTarget &Target, ImplicitLocOpBuilder &B)
    : LoopBuilder(B), Kernel(Kernel), Target(Target) {}

Value KernelFrame::readInt(Value Position) { return B.create<LLVM::LoadOp>(I64, address(Ints, Position, I64)); }

LogicalResult KernelFrame::collectBuffers() {
  auto Memory = codegen::memoryOf(Kernel, "CPU", /*TakesHalves=*/false);
  if (failed(Memory))
    return failure();
  for (const codegen::BodyBuffer &Buffer : Memory->Buffers) {
    Buffers.push_back({Buffer});
    Sums |= Buffer.IsSum;
  }
  ArgumentBuffers = std::move(Memory->OfArgument);
  ResultBuffers = std::move(Memory->OfResult);
  return success();
}

LogicalResult KernelFrame::begin() {
  if (failed(collectBuffers()))
    return failure();
  Function = openFunction(Kernel.getSymName());
  Block *Entry = &Function.getBody().front();
  Ints = Entry->getArgument(1);
  Begin = Entry->getArgument(2);
  End = Entry->getArgument(3);
  DimCount = readInt(constant(0));
  // A launch without outer dimensions has one row.
  Value NoDims = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, DimCount, constant(0));
  InnerDim = B.create<arith::SelectOp>(NoDims, constant(1), readInt(DimCount));
  readBuffers(Entry->getArgument(0));
  readUniforms();
  Values Product = loop(constant(0), DimCount, constant(1), ValueRange{constant(1)}, [&](Value D, ValueRange Args) {
    Value Dim = readInt(B.create<arith::AddIOp>(D, constant(1)));
    return Values{B.create<arith::MulIOp>(Args[0], Dim)};
  });
  Rows = Product[0];
  return success();
}

void KernelFrame::readBuffers(Value BufferTable) {
  int64_t PerDim = 1, Fixed = 1; // the position is PerDim * n + Fixed
  auto At = [&](int64_t Extra) -> Value {
    return addMul(constant(Fixed + Extra), constant(PerDim), DimCount);
  };
  for (auto [I, Buffer] : llvm::enumerate(Buffers)) {
    Value Start = B.create<LLVM::LoadOp>(Pointer, address(BufferTable, constant(I), Pointer));
    Buffer.Base = address(Start, readInt(At(0)), Buffer.Storage);
    ++Fixed;
    if (Buffer.IsSum)
      continue;
    Buffer.StridesAt = At(0);
    ++PerDim;
    Buffer.LastStride = readInt(At(-1));
    if (Buffer.Index >= 0) {
      Buffer.IndexStride = readInt(At(0));
      Buffer.TableRows = readInt(At(1));
      Fixed += 2;
    }
  }
  AfterBuffers = At(0);
}

void KernelFrame::readUniforms() {
  int64_t Count = 0;
  for (auto [I, Argument] : llvm::enumerate(Kernel.getBody().front().getArguments())) {
    if (!isUniform(I)) {
      Uniforms.push_back({});
      continue;
    }
    Value Bits = readInt(B.create<arith::AddIOp>(AfterBuffers, constant(Count++)));
    Type Element = registerElement(getElementTypeOrSelf(Argument.getType()));
    Value Result = Bits;
    if (Element.isF64())
      Result = B.create<arith::BitcastOp>(Element, Bits);
    else if (Element.isF32())
      Result = B.create<arith::BitcastOp>(Element, B.create<arith::TruncIOp>(B.getI32Type(), Bits));
    else if (!Element.isInteger(64))
      Result = B.create<arith::TruncIOp>(Element, Bits);
    Uniforms.push_back(Result);
  }
  if (Sums)
    RowsPerChunk = readInt(B.create<arith::AddIOp>(AfterBuffers, constant(Count)));
}

void KernelFrame::end() {
  B.create<LLVM::ReturnOp>(ValueRange{});
  B.setInsertionPointAfter(Function);
}

Values KernelFrame::forEachRun(Value From, Value To, ValueRange Carried, RunBody Body) {
  Values Initial{From};
  llvm::append_range(Initial, Carried);
  SmallVector<Type> Types(ValueRange(Initial).getTypes());
  SmallVector<Location> Locations(Types.size(), B.getLoc());
  auto While = B.create<scf::WhileOp>(Types, Initial);
  OpBuilder::InsertionGuard Guard(B);
  Block *Before = B.createBlock(&While.getBefore(), {}, Types, Locations);
  Value More = B.create<arith::CmpIOp>(arith::CmpIPredicate::slt, Before->getArgument(0), To);
  B.create<scf::ConditionOp>(More, Before->getArguments());
  Block *After = B.createBlock(&While.getAfter(), {}, Types, Locations);
  Value Row = After->getArgument(0);
  Value Outer = B.create<arith::DivUIOp>(Row, InnerDim);
  Value Inner = B.create<arith::SubIOp>(Row, B.create<arith::MulIOp>(Outer, InnerDim));
  Value Left = B.create<arith::SubIOp>(To, Row);
  Value Count = B.create<arith::MinSIOp>(Left, B.create<arith::SubIOp>(InnerDim, Inner));
  Values State{Outer};
  for (KernelBuffer &Buffer : Buffers)
    if (!Buffer.IsSum)
      State.push_back(B.create<arith::MulIOp>(Inner, Buffer.LastStride));
  Value OuterCount = B.create<arith::SubIOp>(DimCount, constant(1));
  State = loop(constant(0), OuterCount, constant(1), State, [&](Value K, ValueRange Args) {
    Value D = B.create<arith::SubIOp>(B.create<arith::SubIOp>(OuterCount, constant(1)), K);
    Value Dim = readInt(B.create<arith::AddIOp>(D, constant(1)));
    Value Quotient = B.create<arith::DivUIOp>(Args[0], Dim);
    Value Place = B.create<arith::SubIOp>(Args[0], B.create<arith::MulIOp>(Quotient, Dim));
    Values Next{Quotient};
    for (KernelBuffer &Buffer : Buffers)
      if (!Buffer.IsSum)
        Next.push_back(addMul(Args[Next.size()], Place, readInt(B.create<arith::AddIOp>(Buffer.StridesAt, D))));
    return Next;
  });
  Values Offsets;
  unsigned Used = 1;
  for (KernelBuffer &Buffer : Buffers)
    Offsets.push_back(Buffer.IsSum ? Value() : State[Used++]);
  Values Next = Body(Row, Count, Offsets, After->getArguments().drop_front());
  Next.insert(Next.begin(), B.create<arith::AddIOp>(Row, Count));
  B.create<scf::YieldOp>(Next);
  return Values(While.getResults().drop_front());
}

Values KernelFrame::forEachRow(Value From, Value To, ValueRange Carried, RowBody Body) {
  return forEachRun(From, To, Carried,
                    [&](Value First, Value Count, ArrayRef<Value> Starts, ValueRange Args) {
                      return loop(constant(0), Count, constant(1), Args, [&](Value I, ValueRange Inner) {
                        Values Offsets;
                        for (auto [Buffer, Start] : llvm::zip(Buffers, Starts))
                          Offsets.push_back(Start ? addMul(Start, I, Buffer.LastStride) : Value());
                        return Body(B.create<arith::AddIOp>(First, I), Offsets, Inner);
                      });
                    });
}

Value KernelFrame::clampedIndex(Value Index, const KernelBuffer &Table) {
  Type Wide = I64;
  if (auto Vector = dyn_cast<VectorType>(Index.getType()))
    Wide = VectorType::get(Vector.getShape(), I64);
  auto Like = [&](Value Scalar) -> Value {
    return isa<VectorType>(Wide) ? Value(B.create<vector::BroadcastOp>(Wide, Scalar)) : Scalar;
  };
  if (getElementTypeOrSelf(Index.getType()) != I64)
    Index = B.create<arith::ExtSIOp>(Wide, Index);
  Value Inside = B.create<arith::CmpIOp>(arith::CmpIPredicate::ult, Index, Like(Table.TableRows));
  return B.create<arith::SelectOp>(Inside, Index, Like(constant(0)));
}

Value KernelFrame::scratch(Type Element, int64_t Count) {
  OpBuilder::InsertionGuard Guard(B);
  B.setInsertionPointToStart(&Function.getBody().front());
  return B.create<LLVM::AllocaOp>(Pointer, Element, constant(Count), /*alignment=*/64);
}

} // namespace vcc::cpu
