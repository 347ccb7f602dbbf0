// SPDX-License-Identifier: Apache-2.0
//
// Sums over rows: a block takes one chunk of them, its threads add up what they see, and the block's groups are added in a tree.
// The partial sums that this leaves are added by a second launch, so no sum depends on which block is done first.
#include "compiler/codegen/cuda/GridEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cuda {

/// bf16 and f16 are added in f32.
Type GridEmitter::sumType(Type Element) const {
  return Element.isBF16() || Element.isF16() ? Type(B.getF32Type()) : codegen::registerElement(Element);
}

Value GridEmitter::identity(tg::ReduceKind Kind, Type Element, unsigned Width) {
  Type T = sumType(Element);
  Type Counted = isa<FloatType>(T) ? T : Element;
  return Ops.identity(Kind, Counted, Width == 1 ? T : VectorType::get({int64_t(Width)}, T));
}

/// What leaves a sum as it is where `Active` does not hold.
Value GridEmitter::masked(Value V, tg::ReduceKind Kind, Type Element, Value Active) {
  V = Ops.widen(V);
  if (!Active)
    return V;
  unsigned Width = 1;
  if (auto Vector = dyn_cast<VectorType>(V.getType()))
    Width = Vector.getNumElements();
  return B.create<arith::SelectOp>(Active, V, identity(Kind, Element, Width));
}

/// Total sums as scalars, then column sums chunk by chunk where rows are in registers.
Values GridEmitter::zeroSums() {
  Values Zeros;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (resultBuffer(R).IsSum && !codegen::isRow(yielded(R)))
      Zeros.push_back(identity(tg::ReduceKind::Sum, elementOf(yielded(R)), 1));
  for (int64_t I = 0; Shape.InRegisters && I < Shape.Chunks; ++I)
    for (unsigned R = 0; R < resultCount(); ++R)
      if (resultBuffer(R).IsSum && codegen::isRow(yielded(R)))
        Zeros.push_back(identity(tg::ReduceKind::Sum, elementOf(yielded(R)), Walk.Vector));
  return Zeros;
}

unsigned GridEmitter::totalCount() {
  unsigned Count = 0;
  for (unsigned R = 0; R < resultCount(); ++R)
    Count += resultBuffer(R).IsSum && !codegen::isRow(yielded(R));
  return Count;
}

Value GridEmitter::addTo(Value Sum, Value Added, unsigned Result, Value Active) {
  Type Element = elementOf(yielded(Result));
  Added = masked(Added, tg::ReduceKind::Sum, Element, Active);
  return Failed ? Sum : Ops.combine(tg::ReduceKind::Sum, Element, Sum, Added);
}

/// The row's numbers to the totals; the column sums have been added to chunk by chunk.
Values GridEmitter::addToTotals(ValueRange Sums) {
  Values Next;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (resultBuffer(R).IsSum && !codegen::isRow(yielded(R)))
      Next.push_back(addTo(Sums[Next.size()], scalar(yielded(R)), R, RowActive));
  llvm::append_range(Next, ColumnSums);
  return Next;
}

/// One chunk to the column sums in registers, of which `Next` is the first.
void GridEmitter::addToColumns(Chunk &C, unsigned &Next) {
  for (unsigned R = 0; R < resultCount(); ++R)
    if (resultBuffer(R).IsSum && codegen::isRow(yielded(R))) {
      ColumnSums[Next] = addTo(ColumnSums[Next], at(yielded(R), C), R, C.Active);
      ++Next;
    }
}

/// Column sums of long rows stay in their partial's memory: each thread adds to the columns that it has.
void GridEmitter::addToPartials(Chunk &C) {
  for (unsigned R = 0; R < resultCount(); ++R) {
    GridBuffer &Buffer = resultBuffer(R);
    if (!Buffer.IsSum || !codegen::isRow(yielded(R)))
      continue;
    Value Added = Ops.widen(at(yielded(R), C));
    if (Failed)
      return;
    Value Place = Frame.add(Frame.mul(ChunkNumber, Frame.constant(Columns)), C.Column);
    Value Sum = Ops.widen(Frame.load(Buffer.Base, Place, Buffer, C.Width, C.Active));
    Sum = Ops.combine(tg::ReduceKind::Sum, elementOf(yielded(R)), Sum, Added);
    Frame.store(Ops.narrow(Sum, elementOf(yielded(R))), Buffer.Base, Place, Buffer, C.Active);
  }
}

void GridEmitter::zeroPartials() {
  Value Step = Frame.constant(Shape.Group * Walk.Vector);
  Frame.loop(Frame.mul(Lane, Frame.constant(Walk.Vector)), Frame.constant(Columns), Step, {}, [&](Value Column, ValueRange) {
    for (unsigned R = 0; R < resultCount(); ++R) {
      GridBuffer &Buffer = resultBuffer(R);
      if (!Buffer.IsSum || !codegen::isRow(yielded(R)))
        continue;
      Value Place = Frame.add(Frame.mul(ChunkNumber, Frame.constant(Columns)), Column);
      Frame.store(zero(yielded(R), Walk.Vector), Buffer.Base, Place, Buffer, {});
    }
    return Values{};
  });
}

void GridEmitter::storeSums(ValueRange Sums) {
  if (Failed)
    return;
  unsigned Used = 0;
  SmallVector<ThreadGroups::Part> Totals;
  SmallVector<unsigned> TotalResults;
  Value FirstLane = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Lane, Frame.constant(0));
  for (unsigned R = 0; R < resultCount(); ++R)
    if (resultBuffer(R).IsSum && !codegen::isRow(yielded(R))) {
      // Every thread of a group has its row's number; one of them counts.
      Type Element = elementOf(yielded(R));
      Value Held = Sums[Used++];
      if (!Flat && Shape.Group > 1)
        Held = masked(Held, tg::ReduceKind::Sum, Element, FirstLane);
      Totals.push_back({tg::ReduceKind::Sum, Element, Held});
      TotalResults.push_back(R);
    }
  Values Whole = Totals.empty() ? Values{} : Groups.combine(Totals, Shape.Threads);
  Value FirstThread = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Frame.Thread, Frame.constant(0));
  for (auto [R, Sum] : llvm::zip(TotalResults, Whole)) {
    GridBuffer &Buffer = resultBuffer(R);
    Frame.store(Ops.narrow(Sum, elementOf(yielded(R))), Buffer.Base, ChunkNumber, Buffer, FirstThread);
  }
  if (!Shape.InRegisters || Used == Sums.size())
    return;
  SmallVector<Type> Elements;
  for (int64_t I = 0; I < Shape.Chunks; ++I)
    for (unsigned R = 0; R < resultCount(); ++R)
      if (resultBuffer(R).IsSum && codegen::isRow(yielded(R)))
        Elements.push_back(elementOf(yielded(R)));
  Values Sides = Groups.sumOverGroups(Sums.drop_front(Used), Elements, Shape.Group);
  Value FirstGroup = Shape.Group == Shape.Threads ? Value() : Frame.less(Frame.Thread, Frame.constant(Shape.Group));
  unsigned Next = 0;
  for (int64_t I = 0; I < Shape.Chunks; ++I) {
    Chunk C = chunkOf(Frame.constant(I * Shape.Group * Walk.Vector), (I + 1) * Shape.Group * Walk.Vector > Columns);
    for (unsigned R = 0; R < resultCount(); ++R) {
      GridBuffer &Buffer = resultBuffer(R);
      if (!Buffer.IsSum || !codegen::isRow(yielded(R)))
        continue;
      Value Place = Frame.add(Frame.mul(ChunkNumber, Frame.constant(Columns)), C.Column);
      Value Inside = (I + 1) * Shape.Group * Walk.Vector > Columns ? Frame.less(C.Column, Frame.constant(Columns)) : Value();
      Frame.store(Ops.narrow(Sides[Next++], elementOf(yielded(R))), Buffer.Base, Place, Buffer,
                  Frame.both(FirstGroup, Inside));
    }
  }
}

} // namespace vcc::cuda
