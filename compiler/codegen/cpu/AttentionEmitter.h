// SPDX-License-Identifier: Apache-2.0
//
// What attention's kernels are written with: the blocks of rows of a launch, the keys that they see, and the products.
#ifndef VCC_COMPILER_CODEGEN_CPU_ATTENTIONEMITTER_H
#define VCC_COMPILER_CODEGEN_CPU_ATTENTIONEMITTER_H

#include "compiler/codegen/cpu/SmallProducts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace vcc::cpu {

/// A block of query rows of one head.
struct AttentionBlock {
  mlir::Value First, Rows;  // the first query, and how many
  mlir::Value Query, Lse;   // places in tensors of queries, and in lse, of the first one
  mlir::Value Length, Keys; // how many keys the sample has, and how many the block sees, in whole vectors
  mlir::Value Starts;       // the start of the first query
  mlir::Value FirstKey;     // no row of the block sees a key before it; a whole number of vectors
};

class AttentionEmitter : SmallProducts {
public:
  AttentionEmitter(int64_t HeadSize, bool Packed, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B)
      : SmallProducts(B, Target), D(HeadSize), Packed(Packed), Tile(rows()), PerRow(B, unsigned(Tile)) {}

  void forward(llvm::StringRef Name);
  void backward(llvm::StringRef Name);

private:
  mlir::Value add(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::AddIOp>(A, C); }
  mlir::Value sub(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::SubIOp>(A, C); }
  mlir::Value mul(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::MulIOp>(A, C); }
  mlir::Value div(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::DivUIOp>(A, C); }
  mlir::Value least(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::MinSIOp>(A, C); }
  mlir::Value most(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::MaxSIOp>(A, C); }
  mlir::Value less(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::CmpIOp>(mlir::arith::CmpIPredicate::slt, A, C); }
  mlir::Value either(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::OrIOp>(A, C); }
  mlir::Value mulF(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::MulFOp>(A, C); }
  mlir::Value select(mlir::Value If, mlir::Value A, mlir::Value C) { return B.create<mlir::arith::SelectOp>(If, A, C); }
  mlir::Value realVector(float Number) { return Ops.Math.real(Mem.vectorOf(B.getF32Type()), Number); }
  void each(mlir::Value From, mlir::Value To, mlir::Value Step, llvm::function_ref<void(mlir::Value)> Body) {
    loop(From, To, Step, {}, [&](mlir::Value I, mlir::ValueRange) {
      Body(I);
      return Values{};
    });
  }
  void when(mlir::Value Condition, llvm::function_ref<void()> Body) {
    auto If = B.create<mlir::scf::IfOp>(Condition, /*withElseRegion=*/false);
    mlir::OpBuilder::InsertionGuard Guard(B);
    B.setInsertionPointToStart(If.thenBlock());
    Body();
  }

  void open(llvm::StringRef Name, unsigned BufferCount);
  void close();
  mlir::Value strideOf(mlir::Value Keys);
  mlir::Value wholeVectors(mlir::Value Keys);
  mlir::Value lengthOf(mlir::Value Sample);
  mlir::Value visible(const AttentionBlock &Q, mlir::Value Row);
  mlir::Value start(const AttentionBlock &Q, mlir::Value Row);
  mlir::Value firstOf(const AttentionBlock &Q, mlir::Value Row);
  mlir::Value firstOfBlock(const AttentionBlock &Q);
  AttentionBlock blockAt(mlir::Value Sample, mlir::Value Head, mlir::Value First);
  void turn(mlir::Value From, mlir::Value First, mlir::Value Last, mlir::Value To);
  void turnAll(llvm::ArrayRef<std::pair<mlir::Value, mlir::Value>> FromTo);
  void forPanels(const AttentionBlock &Q, llvm::ArrayRef<std::pair<mlir::Value, mlir::Value>> FromTo,
                 llvm::function_ref<void(mlir::Value First, mlir::Value Last)> Body);
  Values queryRows(const AttentionBlock &Q, mlir::Value Tensor, mlir::Value Row);
  Values scratchRows(mlir::Value Scratch, mlir::Value Row);
  void scores(llvm::ArrayRef<mlir::Value> Queries, mlir::Value Turned, mlir::Value Panel, mlir::Value First, mlir::Value Last, llvm::ArrayRef<mlir::Value> To);
  Values softmax(const AttentionBlock &Q, mlir::Value Row, mlir::Value First, mlir::Value Keys, llvm::ArrayRef<mlir::Value> Scores);
  void scoreGradients(const AttentionBlock &Q, mlir::Value Row, mlir::Value First, mlir::Value Keys, llvm::ArrayRef<mlir::Value> Scores,
                      llvm::ArrayRef<mlir::Value> Gradients, llvm::ArrayRef<mlir::Value> Deltas);
  Values deltas(llvm::ArrayRef<mlir::Value> Outs, llvm::ArrayRef<mlir::Value> Gradients);
  void timesKeys(llvm::ArrayRef<mlir::Value> Factors, mlir::Value Keys, mlir::Value First, mlir::Value Count, llvm::ArrayRef<mlir::Value> To, llvm::ArrayRef<mlir::Value> Scales);
  void addToKeys(const AttentionBlock &Q, mlir::Value Factors, mlir::Value Queries, mlir::Value To, mlir::Value Key);
  mlir::Value seen(mlir::Value First, mlir::Value Start, mlir::Value Visible);
  void blockForward(mlir::Value Unit);
  void keyHeadBackward(mlir::Value Unit);
  void blockBackward(const AttentionBlock &Q);

  int64_t D;
  bool Packed;
  int64_t Tile;
  Memory PerRow; // a vector of one number per row of a tile
  Values Buffers;
  mlir::Value Begin, End, Ints;
  mlir::Value Queries, Keys, Heads, KeyHeads, Causal, Scale, BlockRows, Shared, QueryStride, KeyStride, ScoreStride, PanelStride;
  mlir::Value LastKey, PaddedKeys, FitsPanel, Offset;
  mlir::Value Scores, ScoreGradients, TurnedKeys, TurnedValues;
  mlir::Value KeyBase, ValueBase, KeyGradBase, ValueGradBase; // of this key head
};

} // namespace vcc::cpu

#endif
