// SPDX-License-Identifier: Apache-2.0
//
// Kernels whose rows are one or a few columns: a register holds one column of as many consecutive rows as it has lanes. Where the
// innermost outer dimension is contiguous in every result and contiguous or constant in every parameter (known at the launch), rows
// are loaded as vectors, else gathered; both versions compute the same.
#include "compiler/codegen/cpu/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace vcc::cpu {
namespace {

class LaneEmitter : KernelEmitter {
public:
  LaneEmitter(tg::KernelOp Kernel, const CpuTarget &Target, ImplicitLocOpBuilder &B)
      : KernelEmitter(Kernel, Target, B) {}
  LogicalResult run();

private:
  struct Place { // the rows in the lanes now
    Value FirstRow; // linear number
    Value Step;     // how far into the run
    Value Mask;     // null: all
    Values Starts;  // offsets of the run's first row, per buffer
    bool Contiguous;
    llvm::DenseMap<std::pair<Value, int64_t>, Value> Known = llvm::DenseMap<std::pair<Value, int64_t>, Value>();
  };
  Value at(Value V, int64_t Column, Place &P);
  Value compute(Value V, int64_t Column, Place &P);
  Value parameter(BlockArgument Argument, int64_t Column, Place &P);
  Value reduce(tg::ReduceOp Op, Place &P);
  Value laneOffsets(unsigned Buffer, int64_t Column, Place &P);
  Value contiguousAddress(unsigned Buffer, Value Start, Value Step);
  void storeResults(Place &P);
  Values accumulate(Place &P, ValueRange Sums);
  Values rows(Place P, ValueRange Sums);
  Values runOfRows(Value Row, Value Count, ArrayRef<Value> Starts, ValueRange Sums, bool Contiguous);
  Values range(Value Begin, Value End, ValueRange Sums);
  void chunks();
  Value allContiguous();

  Value Contiguous;
  Values Constant; // per parameter: the splat of its value in this run, and whether it does not move
  Values Moves;
};

Value LaneEmitter::laneOffsets(unsigned Number, int64_t Column, Place &P) {
  KernelBuffer &Buffer = Frame.buffer(Number);
  Value Start = Frame.addMul(P.Starts[Number], P.Step, Buffer.LastStride);
  if (Column)
    Start = B.create<arith::AddIOp>(Start, Frame.constant(Column * Buffer.InnerStride));
  Value Steps = B.create<arith::MulIOp>(Mem.steps(B.getI64Type()), Mem.splat(Buffer.LastStride));
  return B.create<arith::AddIOp>(Mem.splat(Start), Steps);
}

Value LaneEmitter::contiguousAddress(unsigned Number, Value Start, Value Step) {
  KernelBuffer &Buffer = Frame.buffer(Number);
  return Frame.address(Buffer.Base, B.create<arith::AddIOp>(Start, Step), Buffer.Storage);
}

Value LaneEmitter::parameter(BlockArgument Argument, int64_t Column, Place &P) {
  unsigned I = Argument.getArgNumber();
  if (Frame.isUniform(I))
    return Mem.splat(Frame.uniform(I));
  unsigned Number = Frame.bufferOfArgument(I);
  KernelBuffer &Buffer = Frame.buffer(Number);
  if (Buffer.Index >= 0) {
    Value Index = at(Body.getArgument(Buffer.Index), 0, P);
    Value Row = Frame.clampedIndex(Index, Buffer);
    Value Offsets = laneOffsets(Number, Column, P);
    Offsets = B.create<arith::AddIOp>(Offsets, B.create<arith::MulIOp>(Row, Mem.splat(Buffer.IndexStride)));
    return Mem.gather(Buffer.Base, Offsets, Buffer, P.Mask);
  }
  if (!P.Contiguous || isRow(Argument))
    return Mem.gather(Buffer.Base, laneOffsets(Number, Column, P), Buffer, P.Mask);
  // One that does not move is not read again: its lanes are masked out and its value is what they then are.
  Value Address = contiguousAddress(Number, P.Starts[Number], P.Step);
  Value Mask = Mem.splat(Moves[Number]);
  if (P.Mask)
    Mask = B.create<arith::AndIOp>(Mask, P.Mask);
  if (Frame.Target.HasMaskRegisters)
    return Mem.load(Address, Buffer, Mask, Constant[Number]);
  auto If = B.create<scf::IfOp>(TypeRange{Constant[Number].getType()}, Moves[Number], /*withElseRegion=*/true);
  OpBuilder::InsertionGuard Guard(B);
  B.setInsertionPointToStart(If.thenBlock());
  B.create<scf::YieldOp>(Mem.load(Address, Buffer, P.Mask));
  B.setInsertionPointToStart(If.elseBlock());
  B.create<scf::YieldOp>(Constant[Number]);
  return If.getResult(0);
}

Value LaneEmitter::reduce(tg::ReduceOp Op, Place &P) {
  Value Sum = at(Op.getX(), 0, P);
  for (int64_t C = 1; C < Columns; ++C)
    Sum = Ops.combine(Op.getKind(), elementOf(Op.getX()), Sum, at(Op.getX(), C, P));
  return Sum;
}

Value LaneEmitter::compute(Value V, int64_t Column, Place &P) {
  if (auto Argument = dyn_cast<BlockArgument>(V))
    return parameter(Argument, Column, P);
  Operation *Op = V.getDefiningOp();
  if (auto Reduce = dyn_cast<tg::ReduceOp>(Op))
    return reduce(Reduce, P);
  if (isa<tg::BroadcastOp, tg::ReshapeOp>(Op))
    return at(Op->getOperand(0), 0, P);
  if (auto Literal = dyn_cast<tg::ConstantOp>(Op))
    return Mem.splat(splatScalar(Literal, Column));
  if (isa<tg::IotaOp>(Op)) {
    Type T = Mem.vectorOf(registerType(V));
    return isa<FloatType>(elementOf(V)) ? Ops.Math.real(T, Column) : Ops.Math.integer(T, Column);
  }
  if (isa<tg::RowIndexOp>(Op)) {
    Value First = B.create<arith::TruncIOp>(B.getI32Type(), P.FirstRow);
    return B.create<arith::AddIOp>(Mem.splat(First), Mem.steps(B.getI32Type()));
  }
  Values Operands;
  for (Value Operand : Op->getOperands())
    Operands.push_back(at(Operand, isRow(Operand) ? Column : 0, P));
  FailureOr<Value> Result = Ops.emit(Op, Operands);
  if (succeeded(Result))
    return *Result;
  fail();
  return Ops.Math.integer(Mem.vectorOf(B.getI32Type()), 0);
}

Value LaneEmitter::at(Value V, int64_t Column, Place &P) {
  auto Found = P.Known.find({V, Column});
  if (Found != P.Known.end())
    return Found->second;
  Value Result = Failed ? Ops.Math.integer(Mem.vectorOf(B.getI32Type()), 0) : compute(V, Column, P);
  P.Known[{V, Column}] = Result;
  return Result;
}

void LaneEmitter::storeResults(Place &P) {
  // All values first: a result may lie where a parameter lies.
  SmallVector<std::tuple<unsigned, int64_t, Value>> Stores;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (!Frame.buffer(Frame.bufferOfResult(R)).IsSum)
      for (int64_t C = 0; C < (isRow(yielded(R)) ? Columns : 1); ++C)
        Stores.emplace_back(R, C, at(yielded(R), C, P));
  if (Failed)
    return;
  for (auto [R, C, Stored] : Stores) {
    unsigned Number = Frame.bufferOfResult(R);
    KernelBuffer &Buffer = Frame.buffer(Number);
    if (P.Contiguous && !isRow(yielded(R)))
      Mem.store(Stored, contiguousAddress(Number, P.Starts[Number], P.Step), Buffer, P.Mask);
    else
      Mem.scatter(Stored, Buffer.Base, laneOffsets(Number, C, P), Buffer, P.Mask);
  }
}

/// One accumulator per column of each sum result, in order.
Values LaneEmitter::accumulate(Place &P, ValueRange Sums) {
  Values Next;
  for (unsigned R = 0; R < resultCount(); ++R) {
    if (!Frame.buffer(Frame.bufferOfResult(R)).IsSum)
      continue;
    for (int64_t C = 0; C < (isRow(yielded(R)) ? Columns : 1); ++C) {
      Value Added = at(yielded(R), C, P);
      if (Failed)
        return Values(Sums);
      Type Element = elementOf(yielded(R));
      if (P.Mask)
        Added = B.create<arith::SelectOp>(P.Mask, Added,
                                          Ops.identity(tg::ReduceKind::Sum, Element, Added.getType()));
      Next.push_back(Ops.combine(tg::ReduceKind::Sum, Element, Sums[Next.size()], Added));
    }
  }
  return Next;
}

Values LaneEmitter::rows(Place P, ValueRange Sums) {
  Values Next = accumulate(P, Sums);
  storeResults(P);
  return Next;
}

Values LaneEmitter::runOfRows(Value Row, Value Count, ArrayRef<Value> Starts, ValueRange Sums, bool IsContiguous) {
  Constant.assign(Frame.bufferCount(), {});
  Moves.assign(Frame.bufferCount(), {});
  for (unsigned I = 0; IsContiguous && I < Body.getNumArguments(); ++I) {
    if (Frame.isUniform(I) || isRow(Body.getArgument(I)))
      continue;
    unsigned Number = Frame.bufferOfArgument(I);
    KernelBuffer &Buffer = Frame.buffer(Number);
    if (Buffer.Index >= 0)
      continue;
    Value Address = Frame.address(Buffer.Base, Starts[Number], Buffer.Storage);
    Constant[Number] = Mem.splat(Mem.loadScalar(Address, Buffer));
    Moves[Number] = B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, Buffer.LastStride, Frame.constant(0));
  }
  Value Width = Frame.constant(Lanes);
  Value Whole = B.create<arith::MulIOp>(B.create<arith::DivUIOp>(Count, Width), Width);
  auto PlaceAt = [&](Value Step, Value Mask) {
    return Place{B.create<arith::AddIOp>(Row, Step), Step, Mask, Values(Starts), IsContiguous};
  };
  Values Next = Frame.loop(Frame.constant(0), Whole, Width, Sums, [&](Value Step, ValueRange Carried) {
    return rows(PlaceAt(Step, {}), Carried);
  });
  Value Left = B.create<arith::SubIOp>(Count, Whole);
  Value Any = B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, Left, Frame.constant(0));
  auto If = B.create<scf::IfOp>(ValueRange(Next).getTypes(), Any, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard Guard(B);
  auto Fill = [&](Block *Block, llvm::function_ref<Values()> Make) {
    if (Block->mightHaveTerminator())
      Block->getTerminator()->erase();
    B.setInsertionPointToEnd(Block);
    Values Made = Make();
    B.create<scf::YieldOp>(Made);
  };
  Fill(If.thenBlock(), [&] { return rows(PlaceAt(Whole, Mem.firstLanes(Left)), Next); });
  Fill(If.elseBlock(), [&] { return Next; });
  return Values(If.getResults());
}

Values LaneEmitter::range(Value From, Value To, ValueRange Sums) {
  return Frame.forEachRun(From, To, Sums, [&](Value Row, Value Count, ArrayRef<Value> Starts, ValueRange Carried) {
    auto If = B.create<scf::IfOp>(Carried.getTypes(), Contiguous, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard Guard(B);
    for (bool IsContiguous : {true, false}) {
      Block *Block = IsContiguous ? If.thenBlock() : If.elseBlock();
      if (Block->mightHaveTerminator())
        Block->getTerminator()->erase();
      B.setInsertionPointToEnd(Block);
      Values Made = runOfRows(Row, Count, Starts, Carried, IsContiguous);
      B.create<scf::YieldOp>(Made);
    }
    return Values(If.getResults());
  });
}

Value LaneEmitter::allContiguous() {
  Value All = B.create<arith::ConstantOp>(B.getBoolAttr(true));
  for (unsigned I = 0; I < Body.getNumArguments(); ++I) {
    if (Frame.isUniform(I) || isRow(Body.getArgument(I)) || Frame.buffer(Frame.bufferOfArgument(I)).Index >= 0)
      continue;
    Value Stride = Frame.buffer(Frame.bufferOfArgument(I)).LastStride;
    All = B.create<arith::AndIOp>(
        All, B.create<arith::CmpIOp>(arith::CmpIPredicate::ule, Stride, Frame.constant(1)));
  }
  for (unsigned R = 0; R < resultCount(); ++R) {
    KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
    if (!Buffer.IsSum && !isRow(yielded(R)))
      All = B.create<arith::AndIOp>(
          All, B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Buffer.LastStride, Frame.constant(1)));
  }
  return All;
}

void LaneEmitter::chunks() {
  Frame.loop(Frame.Begin, Frame.End, Frame.constant(1), {}, [&](Value Chunk, ValueRange) {
    Value From = B.create<arith::MulIOp>(Chunk, Frame.RowsPerChunk);
    Value To = B.create<arith::MinSIOp>(B.create<arith::AddIOp>(From, Frame.RowsPerChunk), Frame.Rows);
    Values Zeros;
    for (unsigned R = 0; R < resultCount(); ++R)
      if (Frame.buffer(Frame.bufferOfResult(R)).IsSum)
        for (int64_t C = 0; C < (isRow(yielded(R)) ? Columns : 1); ++C)
          Zeros.push_back(Ops.identity(tg::ReduceKind::Sum, elementOf(yielded(R)),
                                       Mem.vectorOf(registerType(yielded(R)))));
    Values Sums = range(From, To, Zeros);
    unsigned Used = 0;
    for (unsigned R = 0; R < resultCount(); ++R) {
      KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
      if (!Buffer.IsSum)
        continue;
      int64_t Width = isRow(yielded(R)) ? Columns : 1;
      for (int64_t C = 0; C < Width; ++C) {
        Value Sum = Ops.combineLanes(tg::ReduceKind::Sum, elementOf(yielded(R)), Sums[Used++]);
        Value Place = Frame.addMul(Frame.constant(C), Chunk, Frame.constant(Width));
        Mem.storeScalar(Sum, Frame.address(Buffer.Base, Place, Buffer.Storage), Buffer);
      }
    }
    return Values{};
  });
}

LogicalResult LaneEmitter::run() {
  if (failed(Frame.begin()))
    return failure();
  Contiguous = allContiguous();
  if (Frame.hasSums())
    chunks();
  else
    range(Frame.Begin, Frame.End, {});
  Frame.end();
  return failure(Failed);
}

} // namespace

LogicalResult emitByLanes(tg::KernelOp Kernel, const CpuTarget &Target, ImplicitLocOpBuilder &B) {
  return LaneEmitter(Kernel, Target, B).run();
}

} // namespace vcc::cpu
