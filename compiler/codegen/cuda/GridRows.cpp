// SPDX-License-Identifier: Apache-2.0
//
// Row kernels, and rows added into a table.
#include "compiler/codegen/cuda/GridEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cuda {

/// The chunk that begins `First` columns into the row for the group's first thread.
Chunk GridEmitter::chunkOf(Value First, bool Partial) {
  Value Column = Frame.add(First, Frame.mul(Lane, Frame.constant(Walk.Vector)));
  Value Inside = Partial ? Frame.less(Column, Frame.constant(Columns)) : Value();
  return {Column, Frame.both(RowActive, Inside), Walk.Vector};
}

void GridEmitter::openRow(Value Row, Value Active) {
  RowNumber = Row;
  RowActive = Active;
  Scalars.clear();
  RowChunks.clear();
  Values Offsets = Frame.offsetsOf(Row);
  Pointers.assign(Frame.bufferCount(), {});
  for (unsigned I = 0; I < Frame.bufferCount(); ++I)
    if (!Frame.buffer(I).IsSum)
      Pointers[I] = Frame.address(Frame.buffer(I).Base, Offsets[I], Frame.buffer(I).Storage);
  // Scalars are read at once, those that move tables first: a result may lie where they lie.
  auto ReadScalars = [&](bool Tables) {
    for (BlockArgument Argument : Body.getArguments()) {
      unsigned I = Argument.getArgNumber();
      bool Table = !Frame.isUniform(I) && Frame.buffer(Frame.bufferOfArgument(I)).Index >= 0;
      if (!codegen::isRow(Argument) && Table == Tables)
        scalar(Argument);
    }
  };
  ReadScalars(false);
  for (unsigned I = 0; I < Frame.bufferCount(); ++I) {
    GridBuffer &Buffer = Frame.buffer(I);
    if (Buffer.Index < 0)
      continue;
    Value Number = Frame.clampedIndex(scalar(Body.getArgument(Buffer.Index)), Buffer);
    Pointers[I] = Frame.address(Pointers[I], Frame.mul(Number, Buffer.IndexStride), Buffer.Storage);
  }
  ReadScalars(true);
}

void GridEmitter::row(Value Row, Value Active) {
  openRow(Row, Active);
  int64_t Step = Shape.Group * Walk.Vector;
  for (int64_t I = 0; Shape.InRegisters && I < Shape.Chunks; ++I)
    RowChunks.push_back(chunkOf(Frame.constant(I * Step), (I + 1) * Step > Columns));
  for (unsigned Phase = 0; Phase <= Levels.last(); ++Phase) {
    emitScalars(Phase);
    if (Shape.InRegisters)
      phaseInRegisters(Phase);
    else
      phaseInLoop(Phase);
  }
  emitScalars(~0u);
  storeScalars();
}

Values GridEmitter::reduceChunk(ArrayRef<tg::ReduceOp> Reductions, ValueRange Sums, Chunk &C) {
  Values Next;
  for (auto [Op, Sum] : llvm::zip(Reductions, Sums)) {
    tg::ReduceOp Reduce = Op;
    Type Element = elementOf(Reduce.getX());
    Value Added = masked(at(Reduce.getX(), C), Reduce.getKind(), Element, C.Active);
    Next.push_back(Failed ? Sum : Ops.combine(Reduce.getKind(), Element, Sum, Added));
  }
  return Next;
}

void GridEmitter::finishReductions(ArrayRef<tg::ReduceOp> Reductions, ValueRange Sums) {
  if (Failed || Reductions.empty())
    return;
  SmallVector<ThreadGroups::Part> Parts;
  for (auto [Op, Sum] : llvm::zip(Reductions, Sums)) {
    tg::ReduceOp Reduce = Op;
    Type Element = elementOf(Reduce.getX());
    Value Held = Walk.Vector == 1 ? Sum : Ops.combineLanes(Reduce.getKind(), Element, Sum);
    Parts.push_back({Reduce.getKind(), Element, Held});
  }
  Values Whole = Groups.combine(Parts, Shape.Group);
  for (auto [Op, Sum] : llvm::zip(Reductions, Whole)) {
    tg::ReduceOp Reduce = Op;
    Scalars[Reduce.getResult()] = Ops.narrow(Sum, elementOf(Reduce.getResult()));
  }
}

void GridEmitter::storeChunk(Chunk &C) {
  SmallVector<std::pair<unsigned, Value>> Stores;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (codegen::isRow(yielded(R)) && !resultBuffer(R).IsSum)
      Stores.emplace_back(R, at(yielded(R), C));
  if (Failed)
    return;
  for (auto [R, Stored] : Stores) {
    unsigned Number = Frame.bufferOfResult(R);
    GridBuffer &Buffer = Frame.buffer(Number);
    Type Element = elementOf(yielded(R));
    if (resultKind(R) == tg::ResultKind::Scatter) {
      Value Sum = Ops.widen(gather(Pointers[Number], C.Column, Buffer, C.Width, C.Active));
      Stored = Ops.narrow(Ops.combine(tg::ReduceKind::Sum, Element, Sum, Ops.widen(Stored)), Element);
    }
    if (Buffer.InnerStride == 1 || C.Width == 1) {
      Value Place = Buffer.InnerStride == 1 ? C.Column : Frame.mul(C.Column, Frame.constant(Buffer.InnerStride));
      Frame.store(Stored, Pointers[Number], Place, Buffer, C.Active);
      continue;
    }
    for (unsigned I = 0; I < C.Width; ++I) {
      Value Column = Frame.add(C.Column, Frame.constant(I));
      Value Place = Frame.mul(Column, Frame.constant(Buffer.InnerStride));
      Frame.store(B.create<vector::ExtractOp>(Stored, ArrayRef<int64_t>{I}), Pointers[Number], Place, Buffer, C.Active);
    }
  }
}

void GridEmitter::phaseInRegisters(unsigned Phase) {
  SmallVector<tg::ReduceOp> Reductions = Levels.reductionsOf(Phase);
  Values Sums;
  for (tg::ReduceOp Op : Reductions)
    Sums.push_back(identity(Op.getKind(), elementOf(Op.getX()), Walk.Vector));
  for (Chunk &C : RowChunks)
    Sums = reduceChunk(Reductions, Sums, C);
  // What is summed is computed before anything is stored where it may come from; no chunk touches another's columns.
  unsigned Next = 0;
  for (Chunk &C : RowChunks)
    if (Phase == Levels.last()) {
      addToColumns(C, Next);
      storeChunk(C);
    }
  finishReductions(Reductions, Sums);
}

void GridEmitter::phaseInLoop(unsigned Phase) {
  SmallVector<tg::ReduceOp> Reductions = Levels.reductionsOf(Phase);
  bool Last = Phase == Levels.last();
  Values Sums;
  for (tg::ReduceOp Op : Reductions)
    Sums.push_back(identity(Op.getKind(), elementOf(Op.getX()), Walk.Vector));
  auto Do = [&](Value First, bool Partial, ValueRange Carried) {
    Chunk C = chunkOf(First, Partial);
    Values Next = reduceChunk(Reductions, Carried, C);
    if (Last) {
      addToPartials(C);
      storeChunk(C);
    }
    return Next;
  };
  int64_t Step = Shape.Group * Walk.Vector, Whole = Columns / Step * Step;
  if (Whole)
    Sums = Frame.loop(Frame.constant(0), Frame.constant(Whole), Frame.constant(Step), Sums,
                      [&](Value First, ValueRange Carried) { return Do(First, false, Carried); });
  if (Whole < Columns)
    Sums = Do(Frame.constant(Whole), true, Sums);
  finishReductions(Reductions, Sums);
}

void GridEmitter::storeScalars() {
  Value First = Shape.Group == 1 ? Value() : Value(B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Lane, Frame.constant(0)));
  First = Frame.both(RowActive, First);
  for (unsigned R = 0; R < resultCount(); ++R) {
    unsigned Number = Frame.bufferOfResult(R);
    GridBuffer &Buffer = Frame.buffer(Number);
    if (codegen::isRow(yielded(R)) || Buffer.IsSum)
      continue;
    Value Stored = scalar(yielded(R));
    if (Failed)
      return;
    Type Element = elementOf(yielded(R));
    if (resultKind(R) == tg::ResultKind::Scatter) {
      Value Sum = Ops.widen(Frame.load(Pointers[Number], {}, Buffer, 1, First));
      Stored = Ops.narrow(Ops.combine(tg::ReduceKind::Sum, Element, Sum, Ops.widen(Stored)), Element);
    }
    Frame.store(Stored, Pointers[Number], {}, Buffer, First);
  }
}

void GridEmitter::rows() {
  int64_t PerBlock = Shape.rowsPerBlock();
  Value Size = Frame.constant(Shape.Group);
  Lane = Shape.Group == 1 ? Frame.constant(0) : Value(B.create<arith::RemUIOp>(Frame.Thread, Size));
  GroupNumber = B.create<arith::DivUIOp>(Frame.Thread, Size);
  auto Do = [&](Value First, Value End) {
    if (PerBlock == 1)
      return row(First, {});
    Value Row = Frame.add(First, GroupNumber);
    row(Row, Frame.less(Row, End));
  };
  if (!hasSums(Kernel))
    return Do(Frame.mul(Frame.Block, Frame.constant(PerBlock)), Frame.Rows);
  Value From = Frame.mul(ChunkNumber, Frame.RowsPerChunk);
  Value To = B.create<arith::MinSIOp>(Frame.add(From, Frame.RowsPerChunk), Frame.Rows);
  if (!Shape.InRegisters)
    zeroPartials();
  Values Sums = Frame.loop(From, To, Frame.constant(PerBlock), zeroSums(), [&](Value First, ValueRange Carried) {
    ColumnSums.assign(Carried.begin() + totalCount(), Carried.end());
    Do(First, To);
    return addToTotals(Carried);
  });
  RowActive = {};
  storeSums(Sums);
}

/// A group owns one row of the table: it zeroes the row and adds, in the order of the rows, those that name it.
void GridEmitter::tableRows() {
  Value Size = Frame.constant(Shape.Group);
  Lane = B.create<arith::RemUIOp>(Frame.Thread, Size);
  Value Group = B.create<arith::DivUIOp>(Frame.Thread, Size);
  Value Target = Frame.add(Frame.mul(Frame.Block, Frame.constant(Shape.rowsPerBlock())), Group);
  unsigned Result = 0;
  while (resultKind(Result) != tg::ResultKind::Scatter)
    ++Result;
  unsigned Table = Frame.bufferOfResult(Result), Argument = Frame.buffer(Table).Index;
  Value Exists = Frame.less(Target, Frame.buffer(Table).TableRows);
  for (unsigned R = 0; R < resultCount(); ++R) {
    GridBuffer &Buffer = resultBuffer(R);
    if (resultKind(R) != tg::ResultKind::Scatter)
      continue;
    Value Start = Frame.address(Buffer.Base, Frame.mul(Target, Buffer.IndexStride), Buffer.Storage);
    Value Width = codegen::isRow(yielded(R)) ? Frame.constant(Columns) : Frame.constant(1);
    Value End = B.create<arith::SelectOp>(Exists, Width, Frame.constant(0));
    Frame.loop(Lane, End, Size, {}, [&](Value Column, ValueRange) {
      Frame.store(zero(yielded(R), 1), Start, Frame.mul(Column, Frame.constant(Buffer.InnerStride)), Buffer, {});
      return Values{};
    });
  }
  // What one thread has zeroed another adds to.
  Groups.barrier();
  Frame.loop(Frame.constant(0), Frame.Rows, Frame.constant(1), {}, [&](Value Row, ValueRange) {
    GridBuffer &Ids = Frame.buffer(Frame.bufferOfArgument(Argument));
    Value Id = Frame.load(Ids.Base, Frame.offsetsOf(Row)[Frame.bufferOfArgument(Argument)], Ids, 1, {});
    Value Named = Frame.clampedIndex(Id, Frame.buffer(Table));
    Value Mine = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Named, Target);
    Frame.when(Mine, [&] { row(Row, {}); });
    return Values{};
  });
}

} // namespace vcc::cuda
