// SPDX-License-Identifier: Apache-2.0
//
// Attention in blocks of query rows (Rabe and Staats, 2021, without the split over keys): the scores of one block live in the
// thread's scratch, so that memory does not grow with the number of queries. Products take a few rows at a time and keep their sums
// in registers; the keys of a head are turned once, so that a vector holds one column of many keys. What lies beyond the last key is
// computed as if it were that key, and is never seen: a key at or beyond a row's visible count has probability zero, whatever its
// score. Rows beyond the last one repeat it.
#include "compiler/codegen/cpu/AttentionKernels.h"

#include "compiler/codegen/cpu/SmallProducts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "runtime/program/Abi.h"
#include <limits>

using namespace mlir;

namespace vcc::cpu {
namespace {

constexpr float Infinity = std::numeric_limits<float>::infinity();

/// A block of query rows of one head.
struct Block {
  Value First, Rows;  // the first query, and how many
  Value Query, Lse;   // places in tensors of queries, and in lse, of the first one
  Value Length, Keys; // how many keys the sample has, and how many the block sees, in whole vectors
};

class AttentionEmitter : SmallProducts {
public:
  AttentionEmitter(int64_t HeadSize, const CpuTarget &Target, ImplicitLocOpBuilder &B)
      : SmallProducts(B, Target), D(HeadSize), Tile(rows()), PerRow(B, unsigned(Tile)) {}

  void forward(StringRef Name);
  void backward(StringRef Name);

private:
  Value add(Value A, Value C) { return B.create<arith::AddIOp>(A, C); }
  Value sub(Value A, Value C) { return B.create<arith::SubIOp>(A, C); }
  Value mul(Value A, Value C) { return B.create<arith::MulIOp>(A, C); }
  Value div(Value A, Value C) { return B.create<arith::DivUIOp>(A, C); }
  Value least(Value A, Value C) { return B.create<arith::MinSIOp>(A, C); }
  Value most(Value A, Value C) { return B.create<arith::MaxSIOp>(A, C); }
  Value less(Value A, Value C) { return B.create<arith::CmpIOp>(arith::CmpIPredicate::slt, A, C); }
  Value either(Value A, Value C) { return B.create<arith::OrIOp>(A, C); }
  Value mulF(Value A, Value C) { return B.create<arith::MulFOp>(A, C); }
  Value select(Value If, Value A, Value C) { return B.create<arith::SelectOp>(If, A, C); }
  Value realVector(float Number) { return Ops.Math.real(Mem.vectorOf(B.getF32Type()), Number); }
  void each(Value From, Value To, Value Step, llvm::function_ref<void(Value)> Body) {
    loop(From, To, Step, {}, [&](Value I, ValueRange) {
      Body(I);
      return Values{};
    });
  }
  void when(Value Condition, llvm::function_ref<void()> Body) {
    auto If = B.create<scf::IfOp>(Condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard Guard(B);
    B.setInsertionPointToStart(If.thenBlock());
    Body();
  }

  void open(StringRef Name, unsigned BufferCount);
  void close();
  Value strideOf(Value Keys);
  Value wholeVectors(Value Keys);
  Value lengthOf(Value Sample);
  Value visible(const Block &Q, Value Row);
  Block blockAt(Value Sample, Value Head, Value First);
  void turn(Value From, Value First, Value Last, Value To);
  void turnAll(ArrayRef<std::pair<Value, Value>> FromTo);
  void forPanels(const Block &Q, ArrayRef<std::pair<Value, Value>> FromTo,
                 llvm::function_ref<void(Value First, Value Last)> Body);
  Values queryRows(const Block &Q, Value Tensor, Value Row);
  Values scratchRows(Value Scratch, Value Row);
  void scores(ArrayRef<Value> Queries, Value Turned, Value Panel, Value Last, ArrayRef<Value> To);
  Values softmax(const Block &Q, Value Row, Value Keys, ArrayRef<Value> Scores);
  void scoreGradients(const Block &Q, Value Row, Value Keys, ArrayRef<Value> Scores, ArrayRef<Value> Gradients,
                      ArrayRef<Value> Deltas);
  Values deltas(ArrayRef<Value> Outs, ArrayRef<Value> Gradients);
  void timesKeys(ArrayRef<Value> Factors, Value Keys, Value Count, ArrayRef<Value> To, ArrayRef<Value> Scales);
  void addToKeys(const Block &Q, Value Factors, Value Queries, Value To, Value Key);
  Value seen(Value First, Value Visible);
  void blockForward(Value Unit);
  void keyHeadBackward(Value Unit);
  void blockBackward(const Block &Q);

  int64_t D, Tile;
  Memory PerRow; // a vector of one number per row of a tile
  Values Buffers;
  Value Begin, End, Ints;
  Value Queries, Keys, Heads, KeyHeads, Causal, Scale, BlockRows, Shared, QueryStride, KeyStride, ScoreStride, PanelStride;
  Value LastKey, PaddedKeys, FitsPanel, Offset;
  Value Scores, ScoreGradients, TurnedKeys, TurnedValues;
  Value KeyBase, ValueBase, KeyGradBase, ValueGradBase; // of this key head
};

//===- What a launch says -------------------------------------------------------------------------------------------===//

Value AttentionEmitter::strideOf(Value Count) { // vcc_attention_stride
  Value Lines = B.create<arith::OrIOp>(div(plus(Count, 15), constant(16)), constant(1));
  return mul(Lines, constant(16));
}

Value AttentionEmitter::wholeVectors(Value Count) {
  return mul(div(plus(Count, Lanes - 1), constant(Lanes)), constant(Lanes));
}

void AttentionEmitter::open(StringRef Name, unsigned BufferCount) {
  auto Function = openFunction(Name);
  mlir::Block &Entry = Function.getBody().front();
  Ints = Entry.getArgument(1), Begin = Entry.getArgument(2), End = Entry.getArgument(3);
  for (unsigned I = 0; I < BufferCount; ++I)
    Buffers.push_back(B.create<LLVM::LoadOp>(Pointer, address(Entry.getArgument(0), constant(I), Pointer)));
  auto Read = [&](VccAttentionInt Place) -> Value {
    return B.create<LLVM::LoadOp>(I64, address(Ints, constant(Place), I64));
  };
  Queries = Read(VCC_ATTENTION_SQ), Keys = Read(VCC_ATTENTION_SK);
  Heads = Read(VCC_ATTENTION_H), KeyHeads = Read(VCC_ATTENTION_G);
  Causal = B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, Read(VCC_ATTENTION_CAUSAL), constant(0));
  Scale = B.create<arith::BitcastOp>(
      B.getF32Type(), B.create<arith::TruncIOp>(B.getI32Type(), Read(VCC_ATTENTION_SCALE_BITS)));
  BlockRows = Read(VCC_ATTENTION_BLOCK_ROWS);
  Shared = div(Heads, KeyHeads);
  QueryStride = mul(Heads, constant(D)), KeyStride = mul(KeyHeads, constant(D));
  ScoreStride = strideOf(Keys);
  PanelStride = strideOf(least(Keys, constant(VCC_ATTENTION_PANEL)));
  LastKey = plus(Keys, -1), PaddedKeys = wholeVectors(Keys);
  FitsPanel = less(Keys, constant(VCC_ATTENTION_PANEL + 1));
  Offset = sub(Keys, Queries);
}

void AttentionEmitter::close() { B.create<LLVM::ReturnOp>(ValueRange{}); }

/// How many keys the sample has: all, without lengths.
Value AttentionEmitter::lengthOf(Value Sample) {
  Value Lengths = Buffers[Buffers.size() - 2];
  Value None = B.create<LLVM::ICmpOp>(LLVM::ICmpPredicate::eq, Lengths, B.create<LLVM::ZeroOp>(Pointer));
  auto If = B.create<scf::IfOp>(TypeRange{I64}, None, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard Guard(B);
  B.setInsertionPointToStart(If.thenBlock());
  B.create<scf::YieldOp>(Keys);
  B.setInsertionPointToStart(If.elseBlock());
  Value Length = B.create<LLVM::LoadOp>(B.getI32Type(), address(Lengths, Sample, B.getI32Type()));
  Length = B.create<arith::ExtSIOp>(I64, Length);
  B.create<scf::YieldOp>(most(least(Length, Keys), constant(0)));
  return If.getResult(0);
}

/// How many keys a row of the block sees; rows beyond the last see what that one sees.
Value AttentionEmitter::visible(const Block &Q, Value Row) {
  Value Query = add(Q.First, least(Row, plus(Q.Rows, -1)));
  Value Past = most(plus(add(Query, Offset), 1), constant(0));
  return select(Causal, least(Past, Q.Length), Q.Length);
}

Block AttentionEmitter::blockAt(Value Sample, Value Head, Value First) {
  Block Q;
  Q.First = First, Q.Rows = least(BlockRows, sub(Queries, First));
  Q.Query = mul(addMul(Head, addMul(First, Sample, Queries), Heads), constant(D));
  Q.Lse = addMul(First, addMul(Head, Sample, Heads), Queries);
  Q.Length = lengthOf(Sample);
  Q.Keys = wholeVectors(visible(Q, plus(Q.Rows, -1)));
  return Q;
}

//===- Keys and values ----------------------------------------------------------------------------------------------===//

void AttentionEmitter::turn(Value From, Value First, Value Last, Value To) {
  transpose(First, Last, D, [&](Value Key) { return floatAddress(From, mul(least(Key, LastKey), KeyStride)); }, To, PanelStride);
}

/// Turns all keys, when they fit.
void AttentionEmitter::turnAll(ArrayRef<std::pair<Value, Value>> FromTo) {
  for (auto [From, To] : FromTo)
    turn(From, constant(0), PaddedKeys, To);
}

/// The panels that a block sees; they are turned here unless all keys have been.
void AttentionEmitter::forPanels(const Block &Q, ArrayRef<std::pair<Value, Value>> FromTo,
                                 llvm::function_ref<void(Value, Value)> Body) {
  each(constant(0), Q.Keys, constant(VCC_ATTENTION_PANEL), [&](Value First) {
    Value Last = least(plus(First, VCC_ATTENTION_PANEL), Q.Keys);
    when(B.create<arith::XOrIOp>(FitsPanel, B.create<arith::ConstantOp>(B.getBoolAttr(true))), [&] {
      for (auto [From, To] : FromTo)
        turn(From, First, Last, To);
    });
    Body(First, Last);
  });
}

Values AttentionEmitter::queryRows(const Block &Q, Value Tensor, Value Row) {
  Values Places;
  for (int64_t R = 0; R < Tile; ++R) {
    Value Number = least(plus(Row, R), plus(Q.Rows, -1));
    Places.push_back(floatAddress(Tensor, addMul(Q.Query, Number, QueryStride)));
  }
  return Places;
}

Values AttentionEmitter::scratchRows(Value Scratch, Value Row) {
  Values Places;
  for (int64_t R = 0; R < Tile; ++R)
    Places.push_back(floatAddress(Scratch, mul(plus(Row, R), ScoreStride)));
  return Places;
}

//===- Products -----------------------------------------------------------------------------------------------------===//

/// To[row][key] = the row's product with the turned key, for the keys of a panel.
void AttentionEmitter::scores(ArrayRef<Value> Rows, Value Turned, Value Panel, Value Last, ArrayRef<Value> To) {
  forVectors(Panel, Last, [&](const Columns &C) {
    Value Place = floatAddress(Turned, sub(C.First, Panel));
    Values Sums = product(
        constant(0), constant(D), C, zeros(C), [&](int64_t R, Value Step) { return floatAddress(Rows[R], Step); },
        [&](Value Step) { return floatAddress(Place, mul(Step, PanelStride)); });
    for (int64_t R = 0; R < Tile; ++R)
      for (size_t V = 0; V < C.Masks.size(); ++V)
        store(Sums[R * C.Masks.size() + V], floatAddress(To[R], C.First), C, V);
  });
}

/// To[row] = sum over keys of a factor times the key (or value), scaled per row if there are scales.
void AttentionEmitter::timesKeys(ArrayRef<Value> Factors, Value Base, Value Count, ArrayRef<Value> To,
                                 ArrayRef<Value> Scales) {
  forColumns(D, [&](const Columns &C) {
    Value Start = floatAddress(Base, C.First);
    Values Sums = product(
        constant(0), Count, C, zeros(C), [&](int64_t R, Value Key) { return floatAddress(Factors[R], Key); },
        [&](Value Key) { return floatAddress(Start, mul(Key, KeyStride)); });
    for (int64_t R = 0; R < Tile; ++R)
      for (size_t V = 0; V < C.Masks.size(); ++V) {
        Value Sum = Sums[R * C.Masks.size() + V];
        store(Scales.empty() ? Sum : mulF(Sum, Mem.splat(Scales[R])), floatAddress(To[R], C.First), C, V);
      }
  });
}

/// Adds to the gradient of a tile of keys (or values) the block's factors times its queries (or gradients).
void AttentionEmitter::addToKeys(const Block &Q, Value Factors, Value Tensor, Value To, Value Key) {
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
Value AttentionEmitter::seen(Value First, Value Visible) {
  Value Left = B.create<arith::TruncIOp>(B.getI32Type(), sub(Visible, First));
  return B.create<arith::CmpIOp>(arith::CmpIPredicate::slt, Mem.steps(B.getI32Type()), Mem.splat(Left));
}

/// Scores of a tile become exponentials; gives what each row is to be multiplied by, and stores log-sum-exp.
Values AttentionEmitter::softmax(const Block &Q, Value Row, Value Count, ArrayRef<Value> Rows) {
  Type F32 = B.getF32Type();
  Values Visible;
  for (int64_t R = 0; R < Tile; ++R)
    Visible.push_back(visible(Q, plus(Row, R)));
  Value Factor = Mem.splat(Scale), Zero = realVector(0), Lowest = realVector(-Infinity);
  auto Scaled = [&](int64_t R, Value Key) { return mulF(Mem.load(floatAddress(Rows[R], Key), Floats, {}), Factor); };
  Values Largest = loop(constant(0), Count, constant(Lanes), Values(Tile, Lowest), [&](Value Key, ValueRange Carried) {
    Values Next;
    for (int64_t R = 0; R < Tile; ++R)
      Next.push_back(Ops.combine(tg::ReduceKind::Max, F32, Carried[R], select(seen(Key, Visible[R]), Scaled(R, Key), Lowest)));
    return Next;
  });
  for (Value &Most : Largest)
    Most = Ops.combineLanes(tg::ReduceKind::Max, F32, Most);
  Values Sums = loop(constant(0), Count, constant(Lanes), Values(Tile, Zero), [&](Value Key, ValueRange Carried) {
    Values Next;
    for (int64_t R = 0; R < Tile; ++R) {
      Value E = Ops.Math.exp(B.create<arith::SubFOp>(Scaled(R, Key), Mem.splat(Largest[R])));
      E = select(seen(Key, Visible[R]), E, Zero);
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
void AttentionEmitter::scoreGradients(const Block &Q, Value Row, Value Count, ArrayRef<Value> Rows,
                                      ArrayRef<Value> Gradients, ArrayRef<Value> Deltas) {
  Values Visible, Lse;
  for (int64_t R = 0; R < Tile; ++R) {
    Visible.push_back(visible(Q, plus(Row, R)));
    Value Place = add(Q.Lse, least(plus(Row, R), plus(Q.Rows, -1)));
    Lse.push_back(Mem.splat(number(floatAddress(Buffers[4], Place))));
  }
  Value Factor = Mem.splat(Scale), Zero = realVector(0);
  each(constant(0), Count, constant(Lanes), [&](Value Key) {
    for (int64_t R = 0; R < Tile; ++R) {
      Value Score = Mem.load(floatAddress(Rows[R], Key), Floats, {});
      Value Gradient = Mem.load(floatAddress(Gradients[R], Key), Floats, {});
      Value P = Ops.Math.exp(B.create<arith::SubFOp>(mulF(Score, Factor), Lse[R]));
      P = select(seen(Key, Visible[R]), P, Zero);
      Gradient = mulF(mulF(P, Factor), B.create<arith::SubFOp>(Gradient, Mem.splat(Deltas[R])));
      Mem.store(P, floatAddress(Rows[R], Key), Floats, {});
      Mem.store(Gradient, floatAddress(Gradients[R], Key), Floats, {});
    }
  });
  each(Count, Q.Keys, constant(Lanes), [&](Value Key) {
    for (int64_t R = 0; R < Tile; ++R)
      for (Value Base : {Rows[R], Gradients[R]})
        Mem.store(Zero, floatAddress(Base, Key), Floats, {});
  });
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
  Block Q = blockAt(Sample, addMul(Head, G, Shared), mul(Number, BlockRows));
  auto Bound = [&](Value Row) { return visible(Q, plus(Row, Tile - 1)); };
  forPanels(Q, Turning, [&](Value First, Value Last) {
    each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
      Value Seen = most(First, least(Last, wholeVectors(Bound(Row))));
      scores(queryRows(Q, Buffers[0], Row), TurnedKeys, First, Seen, scratchRows(Scores, Row));
    });
  });
  each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
    Values Rows = scratchRows(Scores, Row);
    Values Scales = softmax(Q, Row, wholeVectors(Bound(Row)), Rows);
    timesKeys(Rows, ValueBase, Bound(Row), queryRows(Q, Buffers[3], Row), Scales);
  });
}

void AttentionEmitter::forward(StringRef Name) {
  open(Name, 7);
  Scores = Buffers.back();
  TurnedKeys = floatAddress(Scores, mul(mul(div(plus(BlockRows, 7), constant(8)), constant(8)), ScoreStride));
  each(Begin, End, constant(1), [&](Value Unit) { blockForward(Unit); });
  close();
}

void AttentionEmitter::blockBackward(const Block &Q) {
  std::pair<Value, Value> Turning[] = {{KeyBase, TurnedKeys}, {ValueBase, TurnedValues}};
  auto Bound = [&](Value Row) { return visible(Q, plus(Row, Tile - 1)); };
  forPanels(Q, Turning, [&](Value First, Value Last) {
    each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
      Value Seen = most(First, least(Last, wholeVectors(Bound(Row))));
      scores(queryRows(Q, Buffers[0], Row), TurnedKeys, First, Seen, scratchRows(Scores, Row));
      scores(queryRows(Q, Buffers[5], Row), TurnedValues, First, Seen, scratchRows(ScoreGradients, Row));
    });
  });
  each(constant(0), Q.Rows, constant(Tile), [&](Value Row) {
    Values Gradients = scratchRows(ScoreGradients, Row);
    Values Deltas = deltas(queryRows(Q, Buffers[3], Row), queryRows(Q, Buffers[5], Row));
    scoreGradients(Q, Row, wholeVectors(Bound(Row)), scratchRows(Scores, Row), Gradients, Deltas);
    timesKeys(Gradients, KeyBase, Bound(Row), queryRows(Q, Buffers[6], Row), {});
  });
  each(constant(0), least(Q.Keys, Keys), constant(Tile), [&](Value Key) {
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
  open(Name, 11);
  Scores = Buffers.back();
  Value ScoreFloats = mul(mul(div(plus(BlockRows, 7), constant(8)), constant(8)), ScoreStride);
  ScoreGradients = floatAddress(Scores, ScoreFloats);
  TurnedKeys = floatAddress(ScoreGradients, ScoreFloats);
  TurnedValues = floatAddress(TurnedKeys, mul(PanelStride, constant(D)));
  each(Begin, End, constant(1), [&](Value Unit) { keyHeadBackward(Unit); });
  close();
}

} // namespace

void emitAttention(StringRef Name, int64_t HeadSize, const CpuTarget &Target, ImplicitLocOpBuilder &B) {
  AttentionEmitter(HeadSize, Target, B).forward(Name);
}

void emitAttentionGrad(StringRef Name, int64_t HeadSize, const CpuTarget &Target, ImplicitLocOpBuilder &B) {
  AttentionEmitter(HeadSize, Target, B).backward(Name);
}

} // namespace vcc::cpu
