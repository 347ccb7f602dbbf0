// SPDX-License-Identifier: Apache-2.0
//
// Kernels over rows of many columns: a register holds consecutive columns of one row. The body is cut into phases by its row
// reductions: phase L computes every reduction whose operand waits for L reductions, in one loop over the columns, and what is
// stored is computed in the last phase, so that a result may lie where a parameter lies. A phase recomputes what is cheap from the
// parameters (which are in the cache by then); what is dear and needed again is kept in a buffer on the stack. Rows of a few
// vectors are unrolled and stay in registers from phase to phase.
#include "compiler/codegen/cpu/KernelEmitter.h"

#include "llvm/ADT/SetVector.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace vcc::cpu {
namespace {

constexpr int64_t UnrolledVectors = 8; // rows of at most this many vectors are unrolled
constexpr int64_t UnrolledWork = 160;  // ... and of at most this many vector operations
constexpr int64_t KeptBytes = 256 * 1024;

struct Chunk {
  Value Column; // i64, first column
  Value Mask;   // null: all lanes
  llvm::DenseMap<Value, Value> Known = llvm::DenseMap<Value, Value>();
};

class ColumnEmitter : KernelEmitter {
public:
  ColumnEmitter(tg::KernelOp Kernel, const CpuTarget &Target, ImplicitLocOpBuilder &B)
      : KernelEmitter(Kernel, Target, B) {}
  LogicalResult run();

private:
  struct Kept {
    unsigned Phase;
    KernelBuffer Scratch;
  };
  struct Accumulator { // of a reduction, or of a column sum in a register
    Value Summand;
    tg::ReduceKind Kind;
  };

  void assignLevels();
  void chooseKept();
  void visitNeeds(Value V, unsigned Phase, llvm::DenseMap<Value, unsigned> &First);
  SmallVector<tg::ReduceOp> reductionsOf(unsigned Phase);
  bool isDear(Value V);

  Values row(Value Row, ArrayRef<Value> Offsets, ValueRange Carried);
  void preparePointers(ArrayRef<Value> Offsets);
  void emitScalars(unsigned Level);
  Value scalar(Value V);
  Value at(Value V, Chunk &C);
  Value compute(Value V, Chunk &C);
  Value parameter(BlockArgument Argument, Chunk &C);
  Value literal(tg::ConstantOp Op, Chunk &C);
  void runPhase(unsigned Phase, SmallVectorImpl<Value> &ColumnSums);
  void phaseInRegisters(ArrayRef<tg::ReduceOp> Reductions, bool Last, SmallVectorImpl<Value> &ColumnSums);
  void phaseInLoop(ArrayRef<tg::ReduceOp> Reductions, bool Last);
  Values addChunk(ArrayRef<tg::ReduceOp> Reductions, ValueRange Sums, Chunk &C);
  void finishReductions(ArrayRef<tg::ReduceOp> Reductions, ArrayRef<Values> Slots);
  void storeRows(Chunk &C);
  void addToColumnSums(Chunk &C);
  Values sumRows(ValueRange Carried, ArrayRef<Value> ColumnSums);
  void storeScalars();
  Value strided(KernelBuffer &Buffer, Value Column);
  Value masked(Value V, Type Element, tg::ReduceKind Kind, Chunk &C);
  void chunksOfRows();
  void zeroTableRows();
  Values zeroSums();
  void storeSums(Value Number, ValueRange Sums);
  int64_t vectorWork();

  llvm::DenseMap<Value, unsigned> Levels;
  unsigned LastPhase = 0;
  llvm::DenseMap<Value, Kept> KeptValues;
  unsigned Phase = 0;
  bool InRegisters = false;
  SmallVector<Chunk> RowChunks; // when in registers
  llvm::DenseMap<Value, Value> Scalars;
  Values Pointers; // per buffer, of this row
  Value RowNumber, ChunkNumber;
  llvm::DenseMap<Operation *, Value> Tables; // constants that are not splats
};

//===- What is computed when ----------------------------------------------------------------------------------------===//

void ColumnEmitter::assignLevels() {
  for (BlockArgument Argument : Body.getArguments())
    Levels[Argument] = 0;
  for (Operation &Op : Body.without_terminator()) {
    unsigned Level = 0;
    for (Value Operand : Op.getOperands())
      Level = std::max(Level, Levels[Operand]);
    if (isa<tg::ReduceOp>(Op)) {
      LastPhase = std::max(LastPhase, Level);
      ++Level;
    }
    for (Value Result : Op.getResults())
      Levels[Result] = Level;
  }
  for (Value Result : Body.getTerminator()->getOperands())
    if (isRow(Result))
      LastPhase = std::max(LastPhase, Levels[Result]);
}

SmallVector<tg::ReduceOp> ColumnEmitter::reductionsOf(unsigned Number) {
  SmallVector<tg::ReduceOp> Found;
  for (tg::ReduceOp Op : Body.getOps<tg::ReduceOp>())
    if (Levels[Op.getX()] == Number)
      Found.push_back(Op);
  return Found;
}

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
  for (unsigned Number = 0; Number <= LastPhase; ++Number) {
    for (tg::ReduceOp Op : reductionsOf(Number))
      visitNeeds(Op.getX(), Number, First);
    if (Number == LastPhase)
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
        Levels[Op.getResult(0)] <= Level)
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
  SmallVector<tg::ReduceOp> Reductions = reductionsOf(Number);
  bool Last = Number == LastPhase;
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
  for (unsigned Number = 0; Number <= LastPhase; ++Number)
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
  for (int64_t Column = 0; Column < Columns; Column += Lanes)
    for (unsigned R = 0; R < resultCount(); ++R) {
      KernelBuffer &Buffer = Frame.buffer(Frame.bufferOfResult(R));
      if (!isRow(yielded(R)) || !Buffer.IsSum)
        continue;
      Value Vector = Zero(R, Mem.vectorOf(registerType(yielded(R))));
      if (InRegisters) {
        Zeros.push_back(Vector);
        continue;
      }
      Value Place = Frame.addMul(Frame.constant(Column), ChunkNumber, Frame.constant(Columns));
      Mem.store(Vector, Frame.address(Buffer.Base, Place, Buffer.Storage), Buffer,
                Column + Lanes <= Columns ? Value() : Mem.firstLanes(Columns - Column));
    }
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
  assignLevels();
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

} // namespace

LogicalResult emitByColumns(tg::KernelOp Kernel, const CpuTarget &Target, ImplicitLocOpBuilder &B) {
  return ColumnEmitter(Kernel, Target, B).run();
}

} // namespace vcc::cpu
