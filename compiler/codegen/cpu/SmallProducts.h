// SPDX-License-Identifier: Apache-2.0
//
// Matrix products of f32 whose result stays in registers: a tile of `rows()` rows by one or two vectors, to which one product of
// a number and a vector is added after another. Sums run in one fixed order.
#ifndef VCC_COMPILER_CODEGEN_CPU_SMALLPRODUCTS_H
#define VCC_COMPILER_CODEGEN_CPU_SMALLPRODUCTS_H

#include "compiler/codegen/cpu/CpuTarget.h"
#include "compiler/codegen/cpu/Memory.h"
#include "compiler/codegen/body/Pointwise.h"

namespace vcc::cpu {

class SmallProducts : public LoopBuilder {
public:
  SmallProducts(mlir::ImplicitLocOpBuilder &B, const CpuTarget &Target);

  /// The vectors of some columns from `First` on; a null mask takes all lanes.
  struct Columns {
    mlir::Value First;
    Values Masks; // one per vector
  };
  using AddressOfNumber = llvm::function_ref<mlir::Value(int64_t Row, mlir::Value Step)>;
  using AddressOfVector = llvm::function_ref<mlir::Value(mlir::Value Step)>;

  /// Sums[row * vectors + vector] += sum over steps in [From, To) of number(row, step) * vector(step).
  Values product(mlir::Value From, mlir::Value To, const Columns &C, Values Sums, AddressOfNumber Number,
                 AddressOfVector Vector);
  /// The body for each group of columns of [0, Count), two vectors at a time, the last one masked.
  void forColumns(int64_t Count, llvm::function_ref<void(const Columns &)> Body);
  /// The body for each group of whole vectors of [From, To), which is a multiple of the lanes.
  void forVectors(mlir::Value From, mlir::Value To, llvm::function_ref<void(const Columns &)> Body);
  /// Columns to rows: To[column * ToStride + row - First] = From(row)[column], rows [First, Last), a multiple of the lanes.
  void transpose(mlir::Value First, mlir::Value Last, int64_t ColumnCount, AddressOfVector From, mlir::Value To,
                 mlir::Value ToStride);

  int64_t rows() const { return TileRows; }
  Values zeros(const Columns &C);
  mlir::Value number(mlir::Value Address) { return Mem.loadScalar(Address, Floats); }
  mlir::Value load(mlir::Value Address, const Columns &C, size_t Vector);
  void store(mlir::Value Stored, mlir::Value Address, const Columns &C, size_t Vector);
  mlir::Value floatAddress(mlir::Value Base, mlir::Value Index) { return address(Base, Index, B.getF32Type()); }
  mlir::Value plus(mlir::Value A, int64_t Number);

  int64_t Lanes;
  Memory Mem;
  codegen::Pointwise Ops;
  KernelBuffer Floats;

private:
  mlir::Value at(mlir::Value Address, size_t Vector);
  void transposeBlock(mlir::Value First, mlir::Value Place, mlir::Value Column, int64_t Width, AddressOfVector From,
                      mlir::Value To, mlir::Value ToStride);
  int64_t TileRows;
};

} // namespace vcc::cpu

#endif
