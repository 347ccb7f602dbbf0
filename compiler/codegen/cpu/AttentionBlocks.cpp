// SPDX-License-Identifier: Apache-2.0
//
// What a launch of attention says, its blocks of query rows, and the keys and values that they see.
#include "compiler/codegen/cpu/AttentionEmitter.h"

#include "runtime/program/Abi.h"

using namespace mlir;

namespace vcc::cpu {

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
  Block &Entry = Function.getBody().front();
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
  Value Lengths = Buffers[Buffers.size() - 3];
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
Value AttentionEmitter::visible(const AttentionBlock &Q, Value Row) {
  Value Query = add(Q.First, least(Row, plus(Q.Rows, -1)));
  Value Past = most(plus(add(Query, Offset), 1), constant(0));
  return select(Causal, least(Past, Q.Length), Q.Length);
}

/// The first key that a row of the block may see: 0 where rows are single sequences.
Value AttentionEmitter::start(const AttentionBlock &Q, Value Row) {
  if (!Packed)
    return constant(0);
  Value Place = address(Q.Starts, least(Row, plus(Q.Rows, -1)), B.getI32Type());
  Value Start = B.create<arith::ExtSIOp>(I64, B.create<LLVM::LoadOp>(B.getI32Type(), Place));
  return most(least(Start, Keys), constant(0));
}

/// The vector that holds the least of a tile's starts.
Value AttentionEmitter::firstOf(const AttentionBlock &Q, Value Row) {
  if (!Packed)
    return constant(0);
  Value Least = start(Q, Row);
  for (int64_t R = 1; R < Tile; ++R)
    Least = least(Least, start(Q, plus(Row, R)));
  return mul(div(Least, constant(Lanes)), constant(Lanes));
}

/// The same of all rows.
Value AttentionEmitter::firstOfBlock(const AttentionBlock &Q) {
  if (!Packed)
    return constant(0);
  Values Least = loop(constant(0), Q.Rows, constant(Tile), {Keys}, [&](Value Row, ValueRange Carried) {
    return Values{least(Carried[0], firstOf(Q, Row))};
  });
  return mul(div(Least[0], constant(Lanes)), constant(Lanes));
}

AttentionBlock AttentionEmitter::blockAt(Value Sample, Value Head, Value First) {
  AttentionBlock Q;
  Q.First = First, Q.Rows = least(BlockRows, sub(Queries, First));
  Q.Query = mul(addMul(Head, addMul(First, Sample, Queries), Heads), constant(D));
  Q.Lse = addMul(First, addMul(Head, Sample, Heads), Queries);
  Q.Length = lengthOf(Sample);
  Q.Keys = wholeVectors(visible(Q, plus(Q.Rows, -1)));
  Q.Starts = address(Buffers[Buffers.size() - 2], addMul(First, Sample, Queries), B.getI32Type());
  Q.FirstKey = firstOfBlock(Q);
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
void AttentionEmitter::forPanels(const AttentionBlock &Q, ArrayRef<std::pair<Value, Value>> FromTo,
                                 llvm::function_ref<void(Value, Value)> Body) {
  Value Panel = constant(VCC_ATTENTION_PANEL);
  each(mul(div(Q.FirstKey, Panel), Panel), Q.Keys, Panel, [&](Value First) {
    Value Last = least(plus(First, VCC_ATTENTION_PANEL), Q.Keys);
    when(B.create<arith::XOrIOp>(FitsPanel, B.create<arith::ConstantOp>(B.getBoolAttr(true))), [&] {
      for (auto [From, To] : FromTo)
        turn(From, First, Last, To);
    });
    Body(First, Last);
  });
}

Values AttentionEmitter::queryRows(const AttentionBlock &Q, Value Tensor, Value Row) {
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

} // namespace vcc::cpu
