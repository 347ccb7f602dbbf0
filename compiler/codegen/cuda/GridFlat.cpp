// SPDX-License-Identifier: Apache-2.0
//
// Kernels over elements: a thread takes as many neighbours as one access holds, the last ones one by one.
#include "compiler/codegen/cuda/GridEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace vcc::cuda {

/// What every element reads at the same place is read once.
void GridEmitter::loadFixedScalars() {
  for (BlockArgument Argument : Body.getArguments()) {
    unsigned I = Argument.getArgNumber();
    if (Frame.isUniform(I))
      continue;
    GridBuffer &Buffer = Frame.buffer(Frame.bufferOfArgument(I));
    if (Buffer.Moves == Motion::Fixed && Buffer.Index < 0)
      Scalars[Argument] = Frame.load(Buffer.Base, {}, Buffer, 1, {});
  }
}

void GridEmitter::flatChunk(Value First, unsigned Width) {
  Chunk C{First, {}, Width, Frame.offsetsOf(First)};
  SmallVector<std::pair<unsigned, Value>> Stores;
  for (unsigned R = 0; R < resultCount(); ++R)
    if (!resultBuffer(R).IsSum)
      Stores.emplace_back(R, at(yielded(R), C));
  if (Failed)
    return;
  for (auto [R, Stored] : Stores)
    Frame.store(Stored, resultBuffer(R).Base, C.Offsets[Frame.bufferOfResult(R)], resultBuffer(R), {});
}

/// One thread's share of the elements [From, To), results stored on the way.
Values GridEmitter::flatSums(Value From, Value To) {
  unsigned Vector = Walk.Vector;
  Value Start = Frame.add(From, Frame.mul(Frame.Thread, Frame.constant(Vector)));
  Value Step = Frame.constant(Shape.Threads * Vector);
  Values Sums = zeroSums();
  auto Take = [&](Value First, unsigned Width, ValueRange Carried) {
    Chunk C{First, {}, Width, Frame.offsetsOf(First)};
    SmallVector<std::pair<unsigned, Value>> Stores;
    Values Next;
    for (unsigned R = 0; R < resultCount(); ++R) {
      Value V = at(yielded(R), C);
      if (Failed)
        return Values(Carried);
      Type Element = elementOf(yielded(R));
      if (!resultBuffer(R).IsSum) {
        Stores.emplace_back(R, V);
        continue;
      }
      V = Ops.widen(V);
      Value Sum = Width == 1 ? V : Ops.combineLanes(tg::ReduceKind::Sum, Element, V);
      Next.push_back(Ops.combine(tg::ReduceKind::Sum, Element, Carried[Next.size()], Sum));
    }
    for (auto [R, Stored] : Stores)
      Frame.store(Stored, resultBuffer(R).Base, C.Offsets[Frame.bufferOfResult(R)], resultBuffer(R), {});
    return Next;
  };
  if (Vector == 1)
    return Frame.loop(Start, To, Step, Sums, [&](Value First, ValueRange Carried) { return Take(First, 1, Carried); });
  // Whole vectors, then at most one that is not.
  Value Whole = B.create<arith::SubIOp>(To, Frame.constant(Vector - 1));
  Sums = Frame.loop(Start, Whole, Step, Sums, [&](Value First, ValueRange Carried) { return Take(First, Vector, Carried); });
  Value Length = B.create<arith::SubIOp>(To, From);
  Value Rest = Frame.add(From, Frame.mul(B.create<arith::DivUIOp>(Length, Frame.constant(Vector)), Frame.constant(Vector)));
  Value Mine = Frame.add(Rest, Frame.Thread);
  return Frame.loop(Mine, To, Frame.constant(Shape.Threads), Sums,
                    [&](Value First, ValueRange Carried) { return Take(First, 1, Carried); });
}

void GridEmitter::flat() {
  Lane = Frame.constant(0);
  if (hasSums(Kernel)) {
    loadFixedScalars();
    Value From = Frame.mul(ChunkNumber, Frame.RowsPerChunk);
    Value To = B.create<arith::MinSIOp>(Frame.add(From, Frame.RowsPerChunk), Frame.Rows);
    return storeSums(flatSums(From, To));
  }
  unsigned Vector = Walk.Vector;
  Value Number = Frame.add(Frame.mul(Frame.Block, Frame.constant(Shape.Threads)), Frame.Thread);
  Value First = Vector == 1 ? Number : Frame.mul(Number, Frame.constant(Vector));
  Frame.when(Frame.less(First, Frame.Rows), [&] {
    // Not before: of a single element the result may lie where another thread would read.
    loadFixedScalars();
    if (Vector == 1 || Walk.Rank > 1) // the innermost dimension is a multiple of the vector
      return flatChunk(First, Vector);
    Value End = Frame.add(First, Frame.constant(Vector - 1));
    Frame.when(
        Frame.less(End, Frame.Rows), [&] { flatChunk(First, Vector); },
        [&] {
          Frame.loop(First, Frame.Rows, Frame.constant(1), {}, [&](Value Element, ValueRange) {
            flatChunk(Element, 1);
            return Values{};
          });
        });
  });
}

} // namespace vcc::cuda
