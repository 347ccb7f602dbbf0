// SPDX-License-Identifier: Apache-2.0
//
// Loads and stores between registers and memory: contiguous, masked, strided; truth values are bytes in memory and i1 in registers.
#ifndef VCC_COMPILER_CODEGEN_CPU_MEMORY_H
#define VCC_COMPILER_CODEGEN_CPU_MEMORY_H

#include "compiler/codegen/cpu/KernelFrame.h"

namespace vcc::cpu {

class Memory {
public:
  Memory(mlir::ImplicitLocOpBuilder &B, unsigned Lanes) : B(B), Lanes(Lanes) {}

  mlir::Value loadScalar(mlir::Value Address, const KernelBuffer &Buffer);
  void storeScalar(mlir::Value Value, mlir::Value Address, const KernelBuffer &Buffer);
  /// Consecutive elements; lanes that the mask (may be null) leaves out are `Otherwise` (zero when null).
  mlir::Value load(mlir::Value Address, const KernelBuffer &Buffer, mlir::Value Mask, mlir::Value Otherwise = {});
  void store(mlir::Value Vector, mlir::Value Address, const KernelBuffer &Buffer, mlir::Value Mask);
  /// Elements at Base + Offsets (i64 lanes, in elements).
  mlir::Value gather(mlir::Value Base, mlir::Value Offsets, const KernelBuffer &Buffer, mlir::Value Mask);
  void scatter(mlir::Value Vector, mlir::Value Base, mlir::Value Offsets, const KernelBuffer &Buffer,
               mlir::Value Mask);

  mlir::Value splat(mlir::Value Scalar);
  mlir::Value allLanes();
  /// The first `Count` lanes; Count an i64, or a number.
  mlir::Value firstLanes(mlir::Value Count);
  mlir::Value firstLanes(int64_t Count);
  /// 0, 1, 2, ... times Factor, as a constant of i64 or i32 lanes.
  mlir::Value steps(mlir::Type Element, int64_t Factor = 1);
  mlir::VectorType vectorOf(mlir::Type Element) { return mlir::VectorType::get({int64_t(Lanes)}, Element); }

private:
  mlir::Value fromStorage(mlir::Value Loaded, const KernelBuffer &Buffer);
  mlir::Value toStorage(mlir::Value Value, const KernelBuffer &Buffer);
  mlir::Value addresses(mlir::Value Base, mlir::Value Offsets, const KernelBuffer &Buffer);
  unsigned alignment(const KernelBuffer &Buffer) { return Buffer.Storage.getIntOrFloatBitWidth() / 8; }

  mlir::ImplicitLocOpBuilder &B;
  unsigned Lanes;
};

} // namespace vcc::cpu

#endif
