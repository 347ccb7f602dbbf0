// SPDX-License-Identifier: Apache-2.0
//
// The loops of kernels by columns: phases, rows, sums over rows, scatters.
#include "compiler/codegen/cpu/ColumnEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace vcc::cpu {

constexpr int64_t UnrolledVectors = 8; // rows of at most this many vectors are unrolled
constexpr int64_t UnrolledWork = 160;  // ... and of at most this many vector operations

//===- Phases -------------------------------------------------------------------------------------------------------===//

Value ColumnEmitter::masked(Value V, Type Element, tg::ReduceKind Kind, Chunk &C) {
  if (!C.Mask)
    return V;
  return B.create<arith::SelectOp>(C.Mask, V, Ops.identity(Kind, Element, V.getType()));
}

Values ColumnEmitter::addChunk(ArrayRef<tg::ReduceOp> Reductions, ValueRange Sums, Chunk &C) {
  Values Next;
  for (auto [Op, Sum] : llvm::zip(Reductions, Sums)) {
    tg::ReduceOp Reduce = Op;
    Type Element = elementOf(Reduce.getX());
    Value Added = masked(at(Reduce.getX(), C), Element, Reduce.getKind(), C);
    Next.push_back(Failed ? Sum : Ops.combine(Reduce.getKind(), Element, Sum, Added));
  }
  return Next;
}

/// Slots are accumulators that ran side by side; they are added in their order.
void ColumnEmitter::finishReductions(ArrayRef<tg::ReduceOp> Reductions, ArrayRef<Values> Slots) {
  for (auto [I, Op] : llvm::enumerate(Reductions)) {
    tg::ReduceOp Reduce = Op;
    Type Element = elementOf(Reduce.getX());
    Value Sum = Slots[0][I];
    for (const Values &Slot : Slots.drop_front())
      Sum = Ops.combine(Reduce.getKind(), Element, Sum, Slot[I]);
    Scalars[Reduce.getResult()] = Ops.combineLanes(Reduce.getKind(), Element, Sum);
  }
}

void ColumnEmitter::storeRows(Chunk &C) {
  SmallVector<std::pair<unsigned, Value>> Stores;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (isRow(yielded(R)) && !Frame.buffer(Frame.bufferOfResult(R)).IsSum)
      Stores.emplace_back(R, at(yielded(R), C));
  if (Failed)
    return;
  for (auto [R, Stored] : Stores) {
    unsigned Number = Frame.bufferOfResult(R);
    KernelBuffer &Buffer = Frame.buffer(Number);
    bool Adds = resultKind(R) == tg::ResultKind::Scatter;
    Type Element = elementOf(yielded(R));
    Value Base = Pointers[Number];
    if (Buffer.InnerStride == 1) {
      Value Address = Frame.address(Base, C.Column, Buffer.Storage);
      if (Adds)
        Stored = Ops.combine(tg::ReduceKind::Sum, Element, Mem.load(Address, Buffer, C.Mask), Stored);
      Mem.store(Stored, Address, Buffer, C.Mask);
      continue;
    }
    Value First = B.create<arith::MulIOp>(C.Column, Frame.constant(Buffer.InnerStride));
    Base = Frame.address(Base, First, Buffer.Storage);
    if (Adds)
      Stored = Ops.combine(tg::ReduceKind::Sum, Element, Mem.gather(Base, strided(Buffer, First), Buffer, C.Mask), Stored);
    Mem.scatter(Stored, Base, strided(Buffer, First), Buffer, C.Mask);
  }
}

/// Column sums of long rows live in their partial's memory, which stays in the cache while a chunk of rows runs.
void ColumnEmitter::addToColumnSums(Chunk &C) {
  for (unsigned R = 0; R < resultCount(); ++R) {
    KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
    if (!isRow(yielded(R)) || !Buffer.IsSum)
      continue;
    Value Added = at(yielded(R), C);
    if (Failed)
      return;
    Value Place = Frame.addMul(C.Column, ChunkNumber, Frame.constant(Columns));
    Value Address = Frame.address(Buffer.Base, Place, Buffer.Storage);
    Value Sum = Ops.combine(tg::ReduceKind::Sum, elementOf(yielded(R)), Mem.load(Address, Buffer, C.Mask), Added);
    Mem.store(Sum, Address, Buffer, C.Mask);
  }
}

void ColumnEmitter::phaseInRegisters(ArrayRef<tg::ReduceOp> Reductions, bool Last, SmallVectorImpl<Value> &ColumnSums) {
  Values Sums;
  for (tg::ReduceOp Op : Reductions)
    Sums.push_back(Ops.identity(Op.getKind(), elementOf(Op.getX()), Mem.vectorOf(registerType(Op.getX()))));
  unsigned Used = 0;
  for (Chunk &C : RowChunks)
    Sums = addChunk(Reductions, Sums, C);
  for (Chunk &C : RowChunks)
    for (unsigned R = 0; Last && R < resultCount(); ++R)
      if (isRow(yielded(R)) && Frame.buffer(Frame.bufferOfResult(R)).IsSum) {
        Value Added = at(yielded(R), C);
        if (!Failed)
          ColumnSums[Used] = Ops.combine(tg::ReduceKind::Sum, elementOf(yielded(R)), ColumnSums[Used], Added);
        ++Used;
      }
  if (Last)
    for (Chunk &C : RowChunks)
      storeRows(C);
  if (!Failed && !Reductions.empty())
    finishReductions(Reductions, {Sums});
}

void ColumnEmitter::phaseInLoop(ArrayRef<tg::ReduceOp> Reductions, bool Last) {
  int64_t Whole = Columns / Lanes, Tail = Columns % Lanes;
  int64_t Work = vectorWork() / std::max<int64_t>(1, llvm::divideCeil(Columns, Lanes));
  int64_t Unroll = std::min<int64_t>(Whole, Work <= 12 ? 4 : Work <= 48 ? 2 : 1);
  SmallVector<Values> Slots(std::max<int64_t>(Unroll, 1));
  for (Values &Slot : Slots)
    for (tg::ReduceOp Op : Reductions)
      Slot.push_back(Ops.identity(Op.getKind(), elementOf(Op.getX()), Mem.vectorOf(registerType(Op.getX()))));
  auto Do = [&](Value Column, Value Mask, ValueRange Sums) {
    Chunk C{Column, Mask};
    Values Next = addChunk(Reductions, Sums, C);
    if (Last) {
      addToColumnSums(C);
      storeRows(C);
    }
    return Next;
  };
  int64_t Blocked = Unroll ? Whole / Unroll * Unroll : 0;
  if (Blocked) {
    Values Flat;
    for (Values &Slot : Slots)
      llvm::append_range(Flat, Slot);
    Flat = Frame.loop(Frame.constant(0), Frame.constant(Blocked * Lanes), Frame.constant(Unroll * Lanes), Flat,
                      [&](Value Column, ValueRange Sums) {
                        Values Next;
                        for (int64_t U = 0; U < Unroll; ++U) {
                          Value First = B.create<arith::AddIOp>(Column, Frame.constant(U * Lanes));
                          llvm::append_range(Next, Do(First, {}, Sums.slice(U * Reductions.size(), Reductions.size())));
                        }
                        return Next;
                      });
    for (auto [U, Slot] : llvm::enumerate(Slots))
      Slot.assign(Flat.begin() + U * Reductions.size(), Flat.begin() + (U + 1) * Reductions.size());
  }
  for (int64_t I = Blocked; I < Whole; ++I)
    Slots[I - Blocked] = Do(Frame.constant(I * Lanes), {}, Slots[I - Blocked]);
  if (Tail)
    Slots.back() = Do(Frame.constant(Whole * Lanes), Mem.firstLanes(Tail), Slots.back());
  if (!Failed && !Reductions.empty())
    finishReductions(Reductions, Slots);
}

void ColumnEmitter::runPhase(unsigned Number, SmallVectorImpl<Value> &ColumnSums) {
  Phase = Number;
  emitScalars(Number);
  SmallVector<tg::ReduceOp> Reductions = Levels.reductionsOf(Number);
  bool Last = Number == Levels.last();
  if (InRegisters)
    phaseInRegisters(Reductions, Last, ColumnSums);
  else
    phaseInLoop(Reductions, Last);
}

//===- Rows ---------------------------------------------------------------------------------------------------------===//

void ColumnEmitter::storeScalars() {
  for (unsigned R = 0; R < resultCount(); ++R) {
    unsigned Number = Frame.bufferOfResult(R);
    KernelBuffer &Buffer = Frame.buffer(Number);
    if (isRow(yielded(R)) || Buffer.IsSum)
      continue;
    Value Stored = scalar(yielded(R));
    if (!Failed && resultKind(R) == tg::ResultKind::Scatter)
      Stored = Ops.combine(tg::ReduceKind::Sum, Buffer.Element, Mem.loadScalar(Pointers[Number], Buffer), Stored);
    if (!Failed)
      Mem.storeScalar(Stored, Pointers[Number], Buffer);
  }
}

/// Carried from row to row: total sums as scalars, then column sums in registers.
Values ColumnEmitter::sumRows(ValueRange Carried, ArrayRef<Value> ColumnSums) {
  Values Next;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (!isRow(yielded(R)) && Frame.buffer(Frame.bufferOfResult(R)).IsSum) {
      Value Added = scalar(yielded(R));
      Next.push_back(Failed ? Carried[Next.size()]
                            : Ops.combine(tg::ReduceKind::Sum, elementOf(yielded(R)), Carried[Next.size()], Added));
    }
  llvm::append_range(Next, ColumnSums);
  return Next;
}

Values ColumnEmitter::row(Value Row, ArrayRef<Value> Offsets, ValueRange Carried) {
  RowNumber = Row;
  Scalars.clear();
  RowChunks.clear();
  if (InRegisters)
    for (int64_t Column = 0; Column < Columns; Column += Lanes)
      RowChunks.push_back({Frame.constant(Column), Column + Lanes <= Columns ? Value() : Mem.firstLanes(Columns - Column)});
  preparePointers(Offsets);
  unsigned Totals = 0;
  for (unsigned R = 0; R < resultCount(); ++R)
    Totals += !isRow(yielded(R)) && Frame.buffer(Frame.bufferOfResult(R)).IsSum;
  Values ColumnSums(Carried.drop_front(Totals));
  for (unsigned Number = 0; Number <= Levels.last(); ++Number)
    runPhase(Number, ColumnSums);
  emitScalars(~0u);
  storeScalars();
  return sumRows(Carried, ColumnSums);
}

Values ColumnEmitter::zeroSums() {
  Values Zeros;
  auto Zero = [&](unsigned R, Type T) {
    return Ops.identity(tg::ReduceKind::Sum, elementOf(yielded(R)), T);
  };
  for (unsigned R = 0; R < resultCount(); ++R)
    if (!isRow(yielded(R)) && Frame.buffer(Frame.bufferOfResult(R)).IsSum)
      Zeros.push_back(Zero(R, registerType(yielded(R))));
  auto ForEachColumnSum = [&](llvm::function_ref<void(KernelBuffer &, Value)> Do) {
    for (unsigned R = 0; R < resultCount(); ++R)
      if (KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R)); isRow(yielded(R)) && Buffer.IsSum)
        Do(Buffer, Zero(R, Mem.vectorOf(registerType(yielded(R)))));
  };
  if (InRegisters) {
    for (int64_t Column = 0; Column < Columns; Column += Lanes)
      ForEachColumnSum([&](KernelBuffer &, Value Vector) { Zeros.push_back(Vector); });
    return Zeros;
  }
  auto Clear = [&](Value Column, Value Mask) {
    Value Place = Frame.addMul(Column, ChunkNumber, Frame.constant(Columns));
    ForEachColumnSum([&](KernelBuffer &Buffer, Value Vector) {
      Mem.store(Vector, Frame.address(Buffer.Base, Place, Buffer.Storage), Buffer, Mask);
    });
  };
  int64_t Whole = Columns / Lanes * Lanes;
  Frame.loop(Frame.constant(0), Frame.constant(Whole), Frame.constant(Lanes), {}, [&](Value Column, ValueRange) {
    Clear(Column, {});
    return Values{};
  });
  if (Whole < Columns)
    Clear(Frame.constant(Whole), Mem.firstLanes(Columns - Whole));
  return Zeros;
}

void ColumnEmitter::storeSums(Value Number, ValueRange Sums) {
  unsigned Used = 0;
  for (unsigned R = 0; R < resultCount(); ++R) {
    KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
    if (!isRow(yielded(R)) && Buffer.IsSum)
      Mem.storeScalar(Sums[Used++], Frame.address(Buffer.Base, Number, Buffer.Storage), Buffer);
  }
  for (int64_t Column = 0; InRegisters && Column < Columns; Column += Lanes)
    for (unsigned R = 0; R < resultCount(); ++R) {
      KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
      if (!isRow(yielded(R)) || !Buffer.IsSum)
        continue;
      Value Place = Frame.addMul(Frame.constant(Column), Number, Frame.constant(Columns));
      Mem.store(Sums[Used++], Frame.address(Buffer.Base, Place, Buffer.Storage), Buffer,
                Column + Lanes <= Columns ? Value() : Mem.firstLanes(Columns - Column));
    }
}

void ColumnEmitter::chunksOfRows() {
  Frame.loop(Frame.Begin, Frame.End, Frame.constant(1), {}, [&](Value Number, ValueRange) {
    ChunkNumber = Number;
    Value From = B.create<arith::MulIOp>(Number, Frame.RowsPerChunk);
    Value To = B.create<arith::MinSIOp>(B.create<arith::AddIOp>(From, Frame.RowsPerChunk), Frame.Rows);
    Values Sums = zeroSums();
    Sums = Frame.forEachRow(From, To, Sums, [&](Value Row, ArrayRef<Value> Offsets, ValueRange Carried) {
      return row(Row, Offsets, Carried);
    });
    storeSums(Number, Sums);
    return Values{};
  });
}

/// A unit owns one row of the table: it zeroes the row and adds, in the order of the rows, those that name it.
void ColumnEmitter::zeroTableRows() {
  for (unsigned R = 0; R < resultCount(); ++R) {
    KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
    if (resultKind(R) != tg::ResultKind::Scatter)
      continue;
    Value Zero = B.create<arith::ConstantOp>(B.getZeroAttr(registerType(yielded(R))));
    Frame.loop(Frame.Begin, Frame.End, Frame.constant(1), {}, [&](Value Unit, ValueRange) {
      Value Row = Frame.address(Buffer.Base, B.create<arith::MulIOp>(Unit, Buffer.IndexStride), Buffer.Storage);
      if (!isRow(yielded(R))) {
        Mem.storeScalar(Zero, Row, Buffer);
        return Values{};
      }
      auto Store = [&](Value Column, Value Mask) {
        Value Place = B.create<arith::MulIOp>(Column, Frame.constant(Buffer.InnerStride));
        Value Address = Frame.address(Row, Place, Buffer.Storage);
        if (Buffer.InnerStride == 1)
          Mem.store(Mem.splat(Zero), Address, Buffer, Mask);
        else
          Mem.scatter(Mem.splat(Zero), Address, strided(Buffer, Place), Buffer, Mask);
        return Values{};
      };
      int64_t Whole = Columns / Lanes * Lanes;
      Frame.loop(Frame.constant(0), Frame.constant(Whole), Frame.constant(Lanes), {},
                 [&](Value Column, ValueRange) { return Store(Column, {}); });
      if (Whole < Columns)
        Store(Frame.constant(Whole), Mem.firstLanes(Columns - Whole));
      return Values{};
    });
  }
}

LogicalResult ColumnEmitter::run() {
  for (auto [I, Op] : llvm::enumerate(Body.getOps<tg::ConstantOp>())) {
    if (!isRow(Op.getResult()) || mlir::cast<ElementsAttr>(Op.getValue()).isSplat())
      continue;
    // A constant row becomes a table in the image.
    std::string Name = (Kernel.getSymName() + "_table" + Twine(I)).str();
    auto Dense = mlir::dyn_cast<DenseElementsAttr>(Op.getValue());
    if (!Dense)
      return Op.emitOpError("has values in a form that a CPU kernel cannot hold");
    if (elementOf(Op.getResult()).isInteger(1)) {
      SmallVector<int8_t> Bytes;
      for (bool Bit : Dense.getValues<bool>())
        Bytes.push_back(Bit);
      Dense = DenseElementsAttr::get(RankedTensorType::get({Columns}, B.getI8Type()), ArrayRef<int8_t>(Bytes));
    }
    Type Storage = LLVM::LLVMArrayType::get(registerElement(Dense.getElementType()), Columns);
    B.create<LLVM::GlobalOp>(Storage, /*isConstant=*/true, LLVM::Linkage::Internal, Name, Dense, /*alignment=*/64);
  }
  if (failed(Frame.begin()))
    return failure();
  for (auto [I, Op] : llvm::enumerate(Body.getOps<tg::ConstantOp>()))
    if (isRow(Op.getResult()) && !mlir::cast<ElementsAttr>(Op.getValue()).isSplat())
      Tables[Op] = B.create<LLVM::AddressOfOp>(LLVM::LLVMPointerType::get(B.getContext()),
                                               (Kernel.getSymName() + "_table" + Twine(I)).str());
  InRegisters = Columns <= UnrolledVectors * Lanes && (vectorWork() <= UnrolledWork || Columns <= Lanes);
  if (!InRegisters)
    chooseKept();
  auto Each = [&](Value Row, ArrayRef<Value> Offsets, ValueRange Carried) { return row(Row, Offsets, Carried); };
  if (Frame.hasSums()) {
    chunksOfRows();
  } else if (Kernel.getKernelClass() == tg::KernelClass::Scatter) {
    zeroTableRows();
    unsigned Result = 0;
    while (resultKind(Result) != tg::ResultKind::Scatter)
      ++Result;
    unsigned Number = Frame.bufferOfResult(Result);
    unsigned Argument = Frame.buffer(Number).Index;
    Frame.forEachRow(Frame.constant(0), Frame.Rows, {}, [&](Value Row, ArrayRef<Value> Offsets, ValueRange) {
      KernelBuffer &Ids = Frame.buffer(Frame.bufferOfArgument(Argument));
      Value Id = Mem.loadScalar(Frame.address(Ids.Base, Offsets[Frame.bufferOfArgument(Argument)], Ids.Storage), Ids);
      Value Target = Frame.clampedIndex(Id, Frame.buffer(Number));
      Value Mine = B.create<arith::AndIOp>(B.create<arith::CmpIOp>(arith::CmpIPredicate::sge, Target, Frame.Begin),
                                           B.create<arith::CmpIOp>(arith::CmpIPredicate::slt, Target, Frame.End));
      auto If = B.create<scf::IfOp>(Mine, /*withElseRegion=*/false);
      OpBuilder::InsertionGuard Guard(B);
      B.setInsertionPointToStart(If.thenBlock());
      row(Row, Offsets, {});
      return Values{};
    });
  } else {
    Frame.forEachRow(Frame.Begin, Frame.End, {}, Each);
  }
  Frame.end();
  return failure(Failed);
}

LogicalResult emitByColumns(tg::KernelOp Kernel, const CpuTarget &Target, ImplicitLocOpBuilder &B) {
  return ColumnEmitter(Kernel, Target, B).run();
}

} // namespace vcc::cpu
