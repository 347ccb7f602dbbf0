// SPDX-License-Identifier: Apache-2.0
//
// How a launch walks its rows on a grid of threads, and what that fixes at compile time. A kernel is made for its body, for the
// number of outer dimensions that are left once neighbours that step as one are merged, for which operands move with the innermost
// of them, and for the elements that a thread can take at once. All sizes and strides are arguments.
#ifndef VCC_COMPILER_CODEGEN_CUDA_GRIDWALK_H
#define VCC_COMPILER_CODEGEN_CUDA_GRIDWALK_H

#include "dialects/tg/Tg.h"
#include <string>

namespace vcc::cuda {

constexpr int64_t WarpThreads = 32;

/// How an operand moves from row to row (flat: from element to element).
enum class Motion : char {
  Fixed = 'f', // not at all
  Unit = 'u',  // flat: to the next element
  Any = 'a'    // by strides that the launch gives
};

struct GridWalk {
  unsigned Rank = 1;
  unsigned Vector = 1; // elements of one access
  llvm::SmallVector<Motion> Motions; // per buffer; of a sum Fixed

  /// Part of the kernel's name: equal for equal walks only.
  std::string suffix() const;
};

/// How the threads of a block share rows.
struct Geometry {
  int64_t Threads = 256; // of a block
  int64_t Group = 1;     // threads of one row: a power of two; up to a warp, or the whole block
  int64_t Chunks = 1;    // vectors of a row that a thread has
  bool InRegisters = true;

  int64_t rowsPerBlock() const { return Threads / Group; }
};

/// A launch as the plan states it. Accesses as in exec.launch: per buffer offset and strides over `Dims`, then for an indexed
/// parameter or a scatter result the stride of the index and the rows of the table.
struct LaunchShape {
  llvm::SmallVector<int64_t> Dims;
  llvm::SmallVector<tg::AccessAttr> Accesses;
  llvm::SmallVector<int64_t> Uniforms; // bits
  int64_t RowsPerChunk = 0;            // with sums
  int64_t Units = 0;
  llvm::SmallVector<int64_t> ByteOffsets; // of the buffers inside of their 64-byte aligned regions
};

struct GridLaunch {
  GridWalk Walk;
  Geometry Shape;
  int64_t Blocks = 0;
  /// Elements from the start of each buffer to the address that is handed over.
  llvm::SmallVector<int64_t> Offsets;
  /// The arguments behind the addresses, 8 bytes each: rows; the sizes of the outer dimensions but the first; per buffer that
  /// moves its strides (`Unit`: but the last); of a table the index' stride and the rows; uniforms; rows per chunk.
  llvm::SmallVector<int64_t> Words;
};

Geometry geometryOf(tg::KernelOp Kernel, unsigned Vector);

/// Failure, with an error on the kernel, where a launch is beyond what the kernels count with.
mlir::FailureOr<GridLaunch> planGridLaunch(tg::KernelOp Kernel, const LaunchShape &Shape);

/// Whether results of this kind are sums over rows.
bool hasSums(tg::KernelOp Kernel);

/// Bytes of an element in memory.
int64_t storedBytes(mlir::Type Element);

} // namespace vcc::cuda

#endif
