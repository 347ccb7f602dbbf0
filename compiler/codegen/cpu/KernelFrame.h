// SPDX-License-Identifier: Apache-2.0
//
// The C function of a kernel: its signature, the reading of its buffers and integers (layout: runtime/program/Abi.h), and the
// walk over its rows. The number of outer dimensions is known at the launch only, so rows are walked in runs that are consecutive
// in the innermost outer dimension: one decomposition by division per run, an addition per row.
#ifndef VCC_COMPILER_CODEGEN_CPU_KERNELFRAME_H
#define VCC_COMPILER_CODEGEN_CPU_KERNELFRAME_H

#include "compiler/codegen/body/Buffers.h"
#include "compiler/codegen/body/Pointwise.h"
#include "compiler/codegen/cpu/CpuTarget.h"
#include "compiler/codegen/cpu/LoopBuilder.h"

namespace vcc::cpu {

using codegen::isRow;
using codegen::registerElement;

inline codegen::Machine machineOf(const CpuTarget &Target) { return {"CPU", Target.HasFma}; }

/// One entry of `buffers`, and what the prologue has read about it.
struct KernelBuffer : codegen::BodyBuffer {
  mlir::Value Base;         // address, launch offset included
  mlir::Value StridesAt;    // position of its strides in `ints`
  mlir::Value LastStride;   // over the innermost outer dimension
  mlir::Value IndexStride;
  mlir::Value TableRows;
};

class KernelFrame : public LoopBuilder {
public:
  KernelFrame(tg::KernelOp Kernel, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B);

  /// Makes the function at the builder's place, enters it and emits the prologue.
  mlir::LogicalResult begin();
  /// Emits the return.
  void end();

  using RunBody = llvm::function_ref<Values(mlir::Value Row, mlir::Value Count, llvm::ArrayRef<mlir::Value> Offsets,
                                            mlir::ValueRange Carried)>;
  using RowBody =
      llvm::function_ref<Values(mlir::Value Row, llvm::ArrayRef<mlir::Value> Offsets, mlir::ValueRange Carried)>;
  /// Rows [Begin, End) in runs; Offsets are those of the run's first row, one per buffer, null for sums.
  Values forEachRun(mlir::Value Begin, mlir::Value End, mlir::ValueRange Carried, RunBody Body);
  Values forEachRow(mlir::Value Begin, mlir::Value End, mlir::ValueRange Carried, RowBody Body);
  /// The row of a table that an index value (scalar or lanes) names, as i64; row 0 when it is outside.
  mlir::Value clampedIndex(mlir::Value Index, const KernelBuffer &Table);
  /// Stack memory of the function, aligned for vectors.
  mlir::Value scratch(mlir::Type Element, int64_t Count);

  /// The buffer of a non-uniform parameter, by argument number, or of a result.
  unsigned bufferOfArgument(unsigned Argument) const { return ArgumentBuffers[Argument]; }
  unsigned bufferOfResult(unsigned Result) const { return ResultBuffers[Result]; }
  KernelBuffer &buffer(unsigned Number) { return Buffers[Number]; }
  unsigned bufferCount() const { return Buffers.size(); }
  bool isUniform(unsigned Argument) const { return ArgumentBuffers[Argument] == codegen::BodyMemory::Uniform; }
  mlir::Value uniform(unsigned Argument) const { return Uniforms[Argument]; }
  bool hasSums() const { return Sums; }

  mlir::Value Begin, End;   // the range of units
  mlir::Value Rows;         // R
  mlir::Value RowsPerChunk; // when there are sums
  tg::KernelOp Kernel;
  const CpuTarget &Target;

private:
  mlir::LogicalResult collectBuffers();
  mlir::Value readInt(mlir::Value Position);
  void readBuffers(mlir::Value BufferTable);
  void readUniforms();

  mlir::LLVM::LLVMFuncOp Function;
  std::vector<KernelBuffer> Buffers;
  llvm::SmallVector<unsigned> ArgumentBuffers, ResultBuffers;
  Values Uniforms;
  bool Sums = false;
  mlir::Value Ints, DimCount, InnerDim, AfterBuffers;
};

} // namespace vcc::cpu

#endif
