// SPDX-License-Identifier: Apache-2.0
//
// The gpu.func of a kernel: its arguments (the order is GridLaunch::Words'), the places of this thread, loads and stores of up to
// 16 bytes, loops and branches. Truth values are bytes in memory.
#ifndef VCC_COMPILER_CODEGEN_CUDA_GRIDFRAME_H
#define VCC_COMPILER_CODEGEN_CUDA_GRIDFRAME_H

#include "compiler/codegen/body/Buffers.h"
#include "compiler/codegen/body/Pointwise.h"
#include "compiler/codegen/cuda/GridWalk.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace vcc::cuda {

using Values = llvm::SmallVector<mlir::Value>;

struct GridBuffer : codegen::BodyBuffer {
  Motion Moves = Motion::Fixed;

  mlir::Value Base;
  Values Strides; // over the outer dimensions, as far as they are arguments
  mlir::Value IndexStride, TableRows;
};

class GridFrame {
public:
  GridFrame(tg::KernelOp Kernel, const GridWalk &Walk, const Geometry &Shape, mlir::ImplicitLocOpBuilder &B);

  /// Makes the function `Name` at the builder's place and enters it.
  mlir::LogicalResult begin(llvm::StringRef Name);
  void end();

  /// Elements from each buffer's base to row `Row` (flat: element), null for one that does not move and for sums.
  Values offsetsOf(mlir::Value Row);
  /// The row of a table that an index names; row 0 when it is outside.
  mlir::Value clampedIndex(mlir::Value Index, const GridBuffer &Table);

  mlir::Value constant(int64_t Number);
  mlir::Value add(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::AddIOp>(A, C); }
  mlir::Value mul(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::MulIOp>(A, C); }
  mlir::Value less(mlir::Value A, mlir::Value C) {
    return B.create<mlir::arith::CmpIOp>(mlir::arith::CmpIPredicate::slt, A, C);
  }
  /// Both conditions; null stands for true.
  mlir::Value both(mlir::Value A, mlir::Value C);
  mlir::Value truncate(mlir::Value X, mlir::Type Type);

  /// `Count` elements (one: a scalar) at an offset from a buffer's base or from `From`; zeros where `Active` (may be null) is
  /// false. Several elements lie at a multiple of their size.
  mlir::Value load(mlir::Value From, mlir::Value Offset, const GridBuffer &Buffer, unsigned Count, mlir::Value Active);
  void store(mlir::Value Stored, mlir::Value From, mlir::Value Offset, const GridBuffer &Buffer, mlir::Value Active);
  mlir::Value address(mlir::Value From, mlir::Value Offset, mlir::Type Element);

  Values loop(mlir::Value From, mlir::Value To, mlir::Value Step, mlir::ValueRange Carried,
              llvm::function_ref<Values(mlir::Value, mlir::ValueRange)> Body);
  void when(mlir::Value Condition, llvm::function_ref<void()> Body, llvm::function_ref<void()> Else = nullptr);
  /// A vector of `Count` copies; the scalar itself when it is one.
  mlir::Value splat(mlir::Value Scalar, unsigned Count);

  unsigned bufferOfArgument(unsigned Argument) const { return ArgumentBuffers[Argument]; }
  unsigned bufferOfResult(unsigned Result) const { return ResultBuffers[Result]; }
  GridBuffer &buffer(unsigned Number) { return Buffers[Number]; }
  unsigned bufferCount() const { return Buffers.size(); }
  bool isUniform(unsigned Argument) const { return ArgumentBuffers[Argument] == codegen::BodyMemory::Uniform; }
  mlir::Value uniform(unsigned Argument) const { return Uniforms[Argument]; }
  /// Memory of the block, for `Count` elements.
  mlir::Value shared(mlir::Type Element, int64_t Count);

  tg::KernelOp Kernel;
  const GridWalk &Walk;
  const Geometry &Shape;
  mlir::ImplicitLocOpBuilder &B;
  mlir::Type I64;
  mlir::Value Thread, Block; // i64
  mlir::Value Rows, RowsPerChunk;

private:
  mlir::LogicalResult collectBuffers();
  unsigned alignment(const GridBuffer &Buffer, unsigned Count) const;

  mlir::gpu::GPUFuncOp Function;
  std::vector<GridBuffer> Buffers;
  llvm::SmallVector<unsigned> ArgumentBuffers, ResultBuffers;
  Values Uniforms, Dims;
};

} // namespace vcc::cuda

#endif
