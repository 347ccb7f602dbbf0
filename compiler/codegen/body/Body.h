// SPDX-License-Identifier: Apache-2.0
//
// What every target has to know of a kernel's body before it writes code for it: which values have an element per column, which
// types registers hold, and what waits for which reduction.
#ifndef VCC_COMPILER_CODEGEN_BODY_BODY_H
#define VCC_COMPILER_CODEGEN_BODY_BODY_H

#include "dialects/tg/Tg.h"
#include "llvm/ADT/DenseMap.h"

namespace vcc::codegen {

/// A value with one element per column.
inline bool isRow(mlir::Value V) { return mlir::cast<mlir::RankedTensorType>(V.getType()).getRank() == 1; }

/// The element type in registers (`ui8` becomes a plain i8), or null for one that no target has code for.
mlir::Type registerElement(mlir::Type Element);

/// Rewrites what a body abbreviates (softmax) and refuses, with an error, values that are neither rows nor scalars.
mlir::LogicalResult prepareBody(tg::KernelOp Kernel);

/// How many reductions a value waits for. All reductions of a level are one pass over the row.
class BodyLevels {
public:
  explicit BodyLevels(mlir::Block &Body);
  unsigned of(mlir::Value V) const { return Levels.lookup(V); }
  /// The level in which the last row is complete.
  unsigned last() const { return Last; }
  /// The reductions whose operand is of this level.
  llvm::SmallVector<tg::ReduceOp> reductionsOf(unsigned Level) const;

private:
  mlir::Block &Body;
  llvm::DenseMap<mlir::Value, unsigned> Levels;
  unsigned Last = 0;
};

} // namespace vcc::codegen

#endif
