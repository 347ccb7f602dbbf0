// SPDX-License-Identifier: Apache-2.0
//
// One kernel as the program of one thread. A chunk is what a thread has of a row at once: `Vector` neighbouring columns (flat:
// elements). A row belongs to a group of threads, whose chunks are dealt out in turn, so that neighbouring threads touch
// neighbouring memory. The body is cut into phases by its row reductions as on the CPU (BodyLevels): a phase is one pass over the
// thread's chunks and ends with the group's reductions. Short rows stay in registers from phase to phase, of long ones a phase
// reads again what it needs. Results are stored in the last phase, so that one may lie where a parameter lies.
#ifndef VCC_COMPILER_CODEGEN_CUDA_GRIDEMITTER_H
#define VCC_COMPILER_CODEGEN_CUDA_GRIDEMITTER_H

#include "compiler/codegen/cuda/GridFrame.h"
#include "compiler/codegen/cuda/ThreadGroups.h"
#include "llvm/ADT/DenseMap.h"

namespace vcc::cuda {

struct Chunk {
  mlir::Value Column; // i64: first column, of a flat kernel first element
  mlir::Value Active; // null: true
  unsigned Width;     // elements
  Values Offsets = {}; // of a flat kernel, per buffer
  llvm::DenseMap<mlir::Value, mlir::Value> Known = llvm::DenseMap<mlir::Value, mlir::Value>();
};

class GridEmitter {
public:
  GridEmitter(tg::KernelOp Kernel, const GridWalk &Walk, const Geometry &Shape, mlir::ImplicitLocOpBuilder &B);
  /// The whole function.
  mlir::LogicalResult run(llvm::StringRef Name);

private:
  // Values (GridValues.cpp)
  bool isLane(mlir::Value V) const { return Flat || codegen::isRow(V); }
  mlir::Type elementOf(mlir::Value V) const { return mlir::getElementTypeOrSelf(V.getType()); }
  mlir::Value yielded(unsigned Result) { return Body.getTerminator()->getOperand(Result); }
  unsigned resultCount() { return Body.getTerminator()->getNumOperands(); }
  tg::ResultKind resultKind(unsigned Result) { return Kernel.getResultKind(Result).getKind(); }
  GridBuffer &resultBuffer(unsigned Result) { return Frame.buffer(Frame.bufferOfResult(Result)); }
  mlir::Type lanesOf(mlir::Type Element, unsigned Width);
  mlir::Value at(mlir::Value V, Chunk &C);
  mlir::Value compute(mlir::Value V, Chunk &C);
  mlir::Value parameter(mlir::BlockArgument Argument, Chunk &C);
  mlir::Value gather(mlir::Value From, mlir::Value First, GridBuffer &Buffer, unsigned Width, mlir::Value Active);
  mlir::Value places(mlir::Value First, unsigned Width, mlir::Type Element);
  mlir::Value literal(tg::ConstantOp Op, Chunk &C);
  mlir::Value literalScalar(tg::ConstantOp Op);
  mlir::Value scalar(mlir::Value V);
  mlir::Value zero(mlir::Value V, unsigned Width);
  void addTables(llvm::StringRef Name);
  void loadFixedScalars();
  void fail() { Failed = true; }

  // Accumulating (GridSums.cpp)
  mlir::Type sumType(mlir::Type Element) const;
  mlir::Value identity(tg::ReduceKind Kind, mlir::Type Element, unsigned Width);
  mlir::Value masked(mlir::Value V, tg::ReduceKind Kind, mlir::Type Element, mlir::Value Active);
  Values zeroSums();
  unsigned totalCount();
  mlir::Value addTo(mlir::Value Sum, mlir::Value Added, unsigned Result, mlir::Value Active);
  Values addToTotals(mlir::ValueRange Sums);
  void addToColumns(Chunk &C, unsigned &Next);
  void addToPartials(Chunk &C);
  void zeroPartials();
  void storeSums(mlir::ValueRange Sums);

  // Rows (GridRows.cpp)
  void rows();
  void row(mlir::Value Row, mlir::Value Active);
  void openRow(mlir::Value Row, mlir::Value Active);
  void phaseInRegisters(unsigned Phase);
  void phaseInLoop(unsigned Phase);
  void finishReductions(llvm::ArrayRef<tg::ReduceOp> Reductions, mlir::ValueRange Sums);
  Values reduceChunk(llvm::ArrayRef<tg::ReduceOp> Reductions, mlir::ValueRange Sums, Chunk &C);
  void emitScalars(unsigned Level);
  void storeChunk(Chunk &C);
  void storeScalars();
  Chunk chunkOf(mlir::Value First, bool Partial);
  void tableRows();

  // Flat kernels (GridFlat.cpp)
  void flat();
  void flatChunk(mlir::Value First, unsigned Width);
  Values flatSums(mlir::Value From, mlir::Value To);

  tg::KernelOp Kernel;
  const GridWalk &Walk;
  const Geometry &Shape;
  mlir::ImplicitLocOpBuilder &B;
  GridFrame Frame;
  codegen::Pointwise Ops;
  ThreadGroups Groups;
  mlir::Block &Body;
  codegen::BodyLevels Levels;
  bool Flat;
  int64_t Columns;
  bool Failed = false;

  // Of this row
  mlir::Value RowNumber, RowActive;
  Values Pointers; // per buffer
  llvm::SmallVector<Chunk> RowChunks;
  Values ColumnSums; // in registers, chunk by chunk
  llvm::DenseMap<mlir::Value, mlir::Value> Scalars;
  mlir::Value Lane, GroupNumber; // i64: this thread's place in its group, its group's place in the block
  mlir::Value ChunkNumber;       // of a kernel with sums
  llvm::DenseMap<mlir::Operation *, GridBuffer> Tables; // constants that are not splats
};

} // namespace vcc::cuda

#endif
