// SPDX-License-Identifier: Apache-2.0
//
// Attention in blocks of query rows (Rabe and Staats, 2021, without the split over keys): the scores of one block live in the
// thread's scratch, so that memory does not grow with the number of queries. Products take a few rows at a time and keep their sums
// in registers; the keys of a head are turned once, so that a vector holds one column of many keys. What lies beyond the last key is
// computed as if it were that key, and is never seen: a key at or beyond a row's visible count has probability zero, whatever its
// score. Rows beyond the last one repeat it. Where each query has a start, keys before it are never seen either, and products of a tile
// of rows, or of a block, begin at the least of its starts: rows of several sequences cost the sum of their squares.
#include "compiler/codegen/cpu/AttentionKernels.h"

#include "compiler/codegen/cpu/AttentionEmitter.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;

namespace vcc::cpu {

constexpr float Infinity = std::numeric_limits<float>::infinity();

//===- Products -----------------------------------------------------------------------------------------------------===//

/// To[row][key] = the row's product with the turned key, for the keys from First to Last of a panel.
void AttentionEmitter::scores(ArrayRef<Value> Rows, Value Turned, Value Panel, Value First, Value Last, ArrayRef<Value> To) {
  forVectors(First, Last, [&](const Columns &C) {
    Value Place = floatAddress(Turned, sub(C.First, Panel));
    Values Sums = product(
        constant(0), constant(D), C, zeros(C), [&](int64_t R, Value Step) { return floatAddress(Rows[R], Step); },
        [&](Value Step) { return floatAddress(Place, mul(Step, PanelStride)); });
    for (int64_t R = 0; R < Tile; ++R)
      for (size_t V = 0; V < C.Masks.size(); ++V)
        store(Sums[R * C.Masks.size() + V], floatAddress(To[R], C.First), C, V);
  });
}

/// To[row] = sum over keys from First to Count of a factor times the key (or value), scaled per row if there are scales.
void AttentionEmitter::timesKeys(ArrayRef<Value> Factors, Value Base, Value First, Value Count, ArrayRef<Value> To,
                                 ArrayRef<Value> Scales) {
  forColumns(D, [&](const Columns &C) {
    Value Start = floatAddress(Base, C.First);
    Values Sums = product(
        First, Count, C, zeros(C), [&](int64_t R, Value Key) { return floatAddress(Factors[R], Key); },
        [&](Value Key) { return floatAddress(Start, mul(Key, KeyStride)); });
    for (int64_t R = 0; R < Tile; ++R)
      for (size_t V = 0; V < C.Masks.size(); ++V) {
        Value Sum = Sums[R * C.Masks.size() + V];
        store(Scales.empty() ? Sum : mulF(Sum, Mem.splat(Scales[R])), floatAddress(To[R], C.First), C, V);
      }
  });
}

/// Adds to the gradient of a tile of keys (or values) the block's factors times its queries (or gradients).
void AttentionEmitter::addToKeys(const AttentionBlock &Q, Value Factors, Value Tensor, Value To, Value Key) {
  Value Column = floatAddress(Factors, Key), Start = floatAddress(Tensor, Q.Query);
  forColumns(D, [&](const Columns &C) {
    auto Place = [&](int64_t R) { return floatAddress(To, addMul(C.First, least(plus(Key, R), LastKey), KeyStride)); };
    Values Sums;
    for (int64_t R = 0; R < Tile; ++R)
      for (size_t V = 0; V < C.Masks.size(); ++V)
        Sums.push_back(load(Place(R), C, V));
    Sums = product(
        constant(0), Q.Rows, C, Sums,
        [&](int64_t R, Value Row) { return floatAddress(Column, plus(mul(Row, ScoreStride), R)); },
        [&](Value Row) { return floatAddress(Start, addMul(C.First, Row, QueryStride)); });
    for (int64_t R = 0; R < Tile; ++R)
      when(less(plus(Key, R), Keys), [&] {
        for (size_t V = 0; V < C.Masks.size(); ++V)
          store(Sums[R * C.Masks.size() + V], Place(R), C, V);
      });
  });
}

//===- Rows ---------------------------------------------------------------------------------------------------------===//

/// Which keys of a vector a row sees.
Value AttentionEmitter::seen(Value First, Value Start, Value Visible) {
  auto Compare = [&](arith::CmpIPredicate Predicate, Value Bound) -> Value {
    Value Left = B.create<arith::TruncIOp>(B.getI32Type(), sub(Bound, First));
    return B.create<arith::CmpIOp>(Predicate, Mem.steps(B.getI32Type()), Mem.splat(Left));
  };
  Value Before = Compare(arith::CmpIPredicate::slt, Visible);
  return Packed ? B.create<arith::AndIOp>(Before, Compare(arith::CmpIPredicate::sge, Start)).getResult() : Before;
}

/// Scores of a tile become exponentials; gives what each row is to be multiplied by, and stores log-sum-exp.
Values AttentionEmitter::softmax(const AttentionBlock &Q, Value Row, Value First, Value Count, ArrayRef<Value> Rows) {
  Type F32 = B.getF32Type();
  Values Start, Visible;
  for (int64_t R = 0; R < Tile; ++R)
    Start.push_back(start(Q, plus(Row, R))), Visible.push_back(visible(Q, plus(Row, R)));
  Value Factor = Mem.splat(Scale), Zero = realVector(0), Lowest = realVector(-Infinity);
  auto Scaled = [&](int64_t R, Value Key) { return mulF(Mem.load(floatAddress(Rows[R], Key), Floats, {}), Factor); };
  Values Largest = loop(First, Count, constant(Lanes), Values(Tile, Lowest), [&](Value Key, ValueRange Carried) {
    Values Next;
    for (int64_t R = 0; R < Tile; ++R)
      Next.push_back(Ops.combine(tg::ReduceKind::Max, F32, Carried[R], select(seen(Key, Start[R], Visible[R]), Scaled(R, Key), Lowest)));
    return Next;
  });
  for (Value &Most : Largest)
    Most = Ops.combineLanes(tg::ReduceKind::Max, F32, Most);
  Values Sums = loop(First, Count, constant(Lanes), Values(Tile, Zero), [&](Value Key, ValueRange Carried) {
    Values Next;
    for (int64_t R = 0; R < Tile; ++R) {
      Value E = Ops.Math.exp(B.create<arith::SubFOp>(Scaled(R, Key), Mem.splat(Largest[R])));
      E = select(seen(Key, Start[R], Visible[R]), E, Zero);
      Mem.store(E, floatAddress(Rows[R], Key), Floats, {});
      Next.push_back(Ops.combine(tg::ReduceKind::Sum, F32, Carried[R], E));
    }
    return Next;
  });
  // One vector of what the rows have one number of each: one division and one logarithm for the tile.
  VectorType Vector = PerRow.vectorOf(F32);
  Value Total = B.create<arith::ConstantOp>(B.getZeroAttr(Vector)), Peak = Total;
  for (int64_t R = 0; R < Tile; ++R) {
    Total = B.create<vector::InsertOp>(Ops.combineLanes(tg::ReduceKind::Sum, F32, Sums[R]), Total, ArrayRef<int64_t>{R});
    Peak = B.create<vector::InsertOp>(Largest[R], Peak, ArrayRef<int64_t>{R});
  }
  Value Nothing = B.create<arith::ConstantOp>(B.getZeroAttr(Vector));
  Value Empty = B.create<arith::CmpFOp>(arith::CmpFPredicate::OEQ, Total, Nothing);
  Value Inverse = B.create<arith::DivFOp>(Ops.Math.real(Vector, 1), Total);
  Inverse = select(Empty, Nothing, Inverse);
  Value Lse = B.create<arith::AddFOp>(Peak, Ops.Math.log(Total));
  Value Rest = least(sub(Q.Rows, Row), constant(Tile));
  PerRow.store(Lse, floatAddress(Buffers[4], add(Q.Lse, Row)), Floats, PerRow.firstLanes(Rest));
  Values Scales;
  for (int64_t R = 0; R < Tile; ++R)
    Scales.push_back(B.create<vector::ExtractOp>(Inverse, ArrayRef<int64_t>{R}));
  return Scales;
}

/// Per row the product of the output and its gradient.
Values AttentionEmitter::deltas(ArrayRef<Value> Outs, ArrayRef<Value> Gradients) {
  Values Sums(Tile, realVector(0));
  for (int64_t Column = 0; Column < D; Column += Lanes) {
    Columns C{constant(Column), {Column + Lanes <= D ? Value() : Mem.firstLanes(D - Column)}};
    for (int64_t R = 0; R < Tile; ++R)
      Sums[R] = Ops.Math.fma(load(floatAddress(Outs[R], C.First), C, 0),
                             load(floatAddress(Gradients[R], C.First), C, 0), Sums[R]);
  }
  for (Value &Sum : Sums)
    Sum = Ops.combineLanes(tg::ReduceKind::Sum, B.getF32Type(), Sum);
  return Sums;
}

/// Scores of a tile become probabilities, and the probabilities' gradients the scores'; both zero where nothing is seen.
void AttentionEmitter::scoreGradients(const AttentionBlock &Q, Value Row, Value First, Value Count, ArrayRef<Value> Rows,
                                      ArrayRef<Value> Gradients, ArrayRef<Value> Deltas) {
  Values Start, Visible, Lse;
  for (int64_t R = 0; R < Tile; ++R) {
    Start.push_back(start(Q, plus(Row, R))), Visible.push_back(visible(Q, plus(Row, R)));
    Value Place = add(Q.Lse, least(plus(Row, R), plus(Q.Rows, -1)));
    Lse.push_back(Mem.splat(number(floatAddress(Buffers[4], Place))));
  }
  Value Factor = Mem.splat(Scale), Zero = realVector(0);
  each(First, Count, constant(Lanes), [&](Value Key) {
    for (int64_t R = 0; R < Tile; ++R) {
      Value Score = Mem.load(floatAddress(Rows[R], Key), Floats, {});
      Value Gradient = Mem.load(floatAddress(Gradients[R], Key), Floats, {});
      Value P = Ops.Math.exp(B.create<arith::SubFOp>(mulF(Score, Factor), Lse[R]));
      P = select(seen(Key, Start[R], Visible[R]), P, Zero);
      Gradient = mulF(mulF(P, Factor), B.create<arith::SubFOp>(Gradient, Mem.splat(Deltas[R])));
      Mem.store(P, floatAddress(Rows[R], Key), Floats, {});
      Mem.store(Gradient, floatAddress(Gradients[R], Key), Floats, {});
    }
  });
  auto Clear = [&](Value From, Value To) {
    each(From, To, constant(Lanes), [&](Value Key) {
      for (int64_t R = 0; R < Tile; ++R)
        for (Value Base : {Rows[R], Gradients[R]})
          Mem.store(Zero, floatAddress(Base, Key), Floats, {});
    });
  };
  if (Packed)
    Clear(Q.FirstKey, First);
  Clear(Count, Q.Keys);
}

//===- Units --------------------------------------------------------------------------------------------------------===//

void AttentionEmitter::blockForward(Value Unit) {
  Value Blocks = div(plus(add(Queries, BlockRows), -1), BlockRows);
  Value PerKeyHead = mul(Shared, Blocks);
  Value KeyHead = div(Unit, PerKeyHead), Place = sub(Unit, mul(KeyHead, PerKeyHead));
  Value Sample = div(KeyHead, KeyHeads), G = sub(KeyHead, mul(Sample, KeyHeads));
  Value Head = div(Place, Blocks), Number = sub(Place, mul(Head, Blocks));
  Value Key = mul(addMul(G, mul(Sample, Keys), KeyHeads), constant(D));
  KeyBase = floatAddress(Buffers[1], Key), ValueBase = floatAddress(Buffers[2], Key);
  std::pair<Value, Value> Turning[] = {{KeyBase, TurnedKeys}};
  // The first unit of this call, and of a key head, turns the keys that the following ones share.
  Value Fresh = either(B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Unit, Begin),
                       B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Place, constant(0)));
  when(B.create<arith::AndIOp>(FitsPanel, Fresh), [&] { turnAll(Turning); });
  AttentionBlock Q = blockAt(Sample, addMul(Head, G, Shared), mul(Number, BlockRows));
  auto Bound = [&](Value Row) { return visible(Q, plus(Row, Tile - 1)); };
  forPanels(Q, Turning, [&](Value First, Value Last) {
    each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
      Value Seen = most(First, least(Last, wholeVectors(Bound(Row)))), From = most(First, firstOf(Q, Row));
      scores(queryRows(Q, Buffers[0], Row), TurnedKeys, First, From, Seen, scratchRows(Scores, Row));
    });
  });
  each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
    Values Rows = scratchRows(Scores, Row);
    Value First = firstOf(Q, Row);
    Values Scales = softmax(Q, Row, First, wholeVectors(Bound(Row)), Rows);
    timesKeys(Rows, ValueBase, First, Bound(Row), queryRows(Q, Buffers[3], Row), Scales);
  });
}

void AttentionEmitter::forward(StringRef Name) {
  open(Name, 8);
  Scores = Buffers.back();
  TurnedKeys = floatAddress(Scores, mul(mul(div(plus(BlockRows, 7), constant(8)), constant(8)), ScoreStride));
  each(Begin, End, constant(1), [&](Value Unit) { blockForward(Unit); });
  close();
}

void AttentionEmitter::blockBackward(const AttentionBlock &Q) {
  std::pair<Value, Value> Turning[] = {{KeyBase, TurnedKeys}, {ValueBase, TurnedValues}};
  auto Bound = [&](Value Row) { return visible(Q, plus(Row, Tile - 1)); };
  forPanels(Q, Turning, [&](Value First, Value Last) {
    each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
      Value Seen = most(First, least(Last, wholeVectors(Bound(Row)))), From = most(First, firstOf(Q, Row));
      scores(queryRows(Q, Buffers[0], Row), TurnedKeys, First, From, Seen, scratchRows(Scores, Row));
      scores(queryRows(Q, Buffers[5], Row), TurnedValues, First, From, Seen, scratchRows(ScoreGradients, Row));
    });
  });
  each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
    Values Gradients = scratchRows(ScoreGradients, Row);
    Values Deltas = deltas(queryRows(Q, Buffers[3], Row), queryRows(Q, Buffers[5], Row));
    Value First = firstOf(Q, Row);
    scoreGradients(Q, Row, First, wholeVectors(Bound(Row)), scratchRows(Scores, Row), Gradients, Deltas);
    timesKeys(Gradients, KeyBase, First, Bound(Row), queryRows(Q, Buffers[6], Row), {});
  });
  each(Q.FirstKey, least(Q.Keys, Keys), constant(Tile), [&](Value Key) {
    addToKeys(Q, ScoreGradients, Buffers[0], KeyGradBase, Key);
    addToKeys(Q, Scores, Buffers[5], ValueGradBase, Key);
  });
}

/// All query heads of a key head, one after another, so that their sums have one order.
void AttentionEmitter::keyHeadBackward(Value Unit) {
  Value Sample = div(Unit, KeyHeads), G = sub(Unit, mul(Sample, KeyHeads));
  Value Key = mul(addMul(G, mul(Sample, Keys), KeyHeads), constant(D));
  KeyBase = floatAddress(Buffers[1], Key), ValueBase = floatAddress(Buffers[2], Key);
  KeyGradBase = floatAddress(Buffers[7], Key), ValueGradBase = floatAddress(Buffers[8], Key);
  each(constant(0), Keys, constant(1), [&](Value Row) {
    forColumns(D, [&](const Columns &C) {
      for (Value Base : {KeyGradBase, ValueGradBase})
        for (size_t V = 0; V < C.Masks.size(); ++V)
          store(realVector(0), floatAddress(Base, addMul(C.First, Row, KeyStride)), C, V);
    });
  });
  when(FitsPanel, [&] { turnAll({{KeyBase, TurnedKeys}, {ValueBase, TurnedValues}}); });
  each(constant(0), Shared, constant(1), [&](Value Head) {
    each(constant(0), Queries, BlockRows,
         [&](Value First) { blockBackward(blockAt(Sample, addMul(Head, G, Shared), First)); });
  });
}

void AttentionEmitter::backward(StringRef Name) {
  open(Name, 12);
  Scores = Buffers.back();
  Value ScoreFloats = mul(mul(div(plus(BlockRows, 7), constant(8)), constant(8)), ScoreStride);
  ScoreGradients = floatAddress(Scores, ScoreFloats);
  TurnedKeys = floatAddress(ScoreGradients, ScoreFloats);
  TurnedValues = floatAddress(TurnedKeys, mul(PanelStride, constant(D)));
  each(Begin, End, constant(1), [&](Value Unit) { keyHeadBackward(Unit); });
  close();
}

void emitAttention(StringRef Name, int64_t HeadSize, bool Packed, const CpuTarget &Target, ImplicitLocOpBuilder &B) {
  AttentionEmitter(HeadSize, Packed, Target, B).forward(Name);
}

void emitAttentionGrad(StringRef Name, int64_t HeadSize, bool Packed, const CpuTarget &Target,
                       ImplicitLocOpBuilder &B) {
  AttentionEmitter(HeadSize, Packed, Target, B).backward(Name);
}

} // namespace vcc::cpu
