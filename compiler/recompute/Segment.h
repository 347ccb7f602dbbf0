// SPDX-License-Identifier: Apache-2.0
//
// The segments of a function, found by the borders that barriers carry.
#ifndef VCC_COMPILER_RECOMPUTE_SEGMENT_H
#define VCC_COMPILER_RECOMPUTE_SEGMENT_H

#include "dialects/tg/Tg.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

namespace vcc::recompute {

struct Segment {
  llvm::SmallVector<tg::BarrierOp> leaves;
  /// What can be computed again, in program order: all that the leaving values are made from inside, but constants and
  /// views of what is there all the time.
  llvm::SmallVector<mlir::Operation *> members;
  /// The members that depend on a value that enters the segment. The others depend on weights, inputs and counts alone, so
  /// that equal ones of several segments may be one operation.
  llvm::DenseSet<mlir::Operation *> dependent;
};

/// Places of operations in a function.
class ProgramOrder {
public:
  explicit ProgramOrder(mlir::Block &block);
  /// -1 for what has come later.
  int of(mlir::Operation *op) const;

private:
  llvm::DenseMap<mlir::Operation *, int> places;
};

/// By number of the segment.
llvm::MapVector<int64_t, Segment> findSegments(mlir::Block &block, const ProgramOrder &order);

/// The value that reshapes, transposes, slices and broadcasts look at, and these from the first to the last.
mlir::Value lookThrough(mlir::Value value, llvm::SmallVectorImpl<mlir::Operation *> &views);

/// Weights, inputs, constants and counts: nothing of them is kept.
bool isAlwaysThere(mlir::Operation *op);

} // namespace vcc::recompute

#endif
