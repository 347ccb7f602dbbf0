// SPDX-License-Identifier: Apache-2.0
//
// Kernels over rows of many columns: a register holds consecutive columns of one row. The body is cut into phases by its row
// reductions: phase L computes every reduction whose operand waits for L reductions, in one loop over the columns, and what is
// stored is computed in the last phase, so that a result may lie where a parameter lies. A phase recomputes what is cheap from the
// parameters (which are in the cache by then); what is dear and needed again is kept in a buffer on the stack. Rows of a few
// vectors are unrolled and stay in registers from phase to phase.
#ifndef VCC_COMPILER_CODEGEN_CPU_COLUMNEMITTER_H
#define VCC_COMPILER_CODEGEN_CPU_COLUMNEMITTER_H

#include "compiler/codegen/cpu/KernelEmitter.h"

namespace vcc::cpu {

struct Chunk {
  mlir::Value Column; // i64, first column
  mlir::Value Mask;   // null: all lanes
  llvm::DenseMap<mlir::Value, mlir::Value> Known = llvm::DenseMap<mlir::Value, mlir::Value>();
};

class ColumnEmitter : KernelEmitter {
public:
  ColumnEmitter(tg::KernelOp Kernel, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B)
      : KernelEmitter(Kernel, Target, B), Levels(Body) {}
  mlir::LogicalResult run();

private:
  struct Kept {
    unsigned Phase;
    KernelBuffer Scratch;
  };
  void chooseKept();
  void visitNeeds(mlir::Value V, unsigned Phase, llvm::DenseMap<mlir::Value, unsigned> &First);
  bool isDear(mlir::Value V);

  Values row(mlir::Value Row, llvm::ArrayRef<mlir::Value> Offsets, mlir::ValueRange Carried);
  void preparePointers(llvm::ArrayRef<mlir::Value> Offsets);
  void emitScalars(unsigned Level);
  mlir::Value scalar(mlir::Value V);
  mlir::Value at(mlir::Value V, Chunk &C);
  mlir::Value compute(mlir::Value V, Chunk &C);
  mlir::Value parameter(mlir::BlockArgument Argument, Chunk &C);
  mlir::Value literal(tg::ConstantOp Op, Chunk &C);
  void runPhase(unsigned Phase, llvm::SmallVectorImpl<mlir::Value> &ColumnSums);
  void phaseInRegisters(llvm::ArrayRef<tg::ReduceOp> Reductions, bool Last, llvm::SmallVectorImpl<mlir::Value> &ColumnSums);
  void phaseInLoop(llvm::ArrayRef<tg::ReduceOp> Reductions, bool Last);
  Values addChunk(llvm::ArrayRef<tg::ReduceOp> Reductions, mlir::ValueRange Sums, Chunk &C);
  void finishReductions(llvm::ArrayRef<tg::ReduceOp> Reductions, llvm::ArrayRef<Values> Slots);
  void storeRows(Chunk &C);
  void addToColumnSums(Chunk &C);
  Values sumRows(mlir::ValueRange Carried, llvm::ArrayRef<mlir::Value> ColumnSums);
  void storeScalars();
  mlir::Value strided(KernelBuffer &Buffer, mlir::Value Column);
  mlir::Value masked(mlir::Value V, mlir::Type Element, tg::ReduceKind Kind, Chunk &C);
  void chunksOfRows();
  void zeroTableRows();
  Values zeroSums();
  void storeSums(mlir::Value Number, mlir::ValueRange Sums);
  int64_t vectorWork();

  codegen::BodyLevels Levels;
  llvm::DenseMap<mlir::Value, Kept> KeptValues;
  unsigned Phase = 0;
  bool InRegisters = false;
  llvm::SmallVector<Chunk> RowChunks; // when in registers
  llvm::DenseMap<mlir::Value, mlir::Value> Scalars;
  Values Pointers; // per buffer, of this row
  mlir::Value RowNumber, ChunkNumber;
  llvm::DenseMap<mlir::Operation *, mlir::Value> Tables; // constants that are not splats
};

} // namespace vcc::cpu

#endif
