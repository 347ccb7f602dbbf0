// SPDX-License-Identifier: Apache-2.0
//
// How many products lie behind each value of a forward function: what kernels made of values between the same products may keep
// in registers, and what has to pass through memory.
#ifndef VCC_COMPILER_PRECISION_DEPTH_H
#define VCC_COMPILER_PRECISION_DEPTH_H

#include "dialects/tg/Tg.h"
#include "llvm/ADT/DenseSet.h"

namespace vcc::precision {

/// Whether the operation is one of those whose operands come from memory and whose result goes there: products, attention,
/// rows of a weight.
bool isProduct(mlir::Operation *op);

/// Whether `op` only renames or moves elements of one operand: reshape, transpose, slice.
bool isMove(mlir::Operation *op);

class Depth {
public:
  explicit Depth(mlir::Block &block);

  /// Products on the longest way to the value.
  int of(mlir::Value value) const { return depths.lookup(value); }
  /// Whether the value is the loss's: made from a cross-entropy or log-probabilities with no product between.
  bool isOfLoss(mlir::Value value) const { return ofLoss.contains(value); }
  /// Whether something that is no product reads the value behind a product more than the value itself: a kernel cannot have it
  /// at hand then.
  bool isReadLater(mlir::Value value) const;

private:
  llvm::DenseMap<mlir::Value, int> depths;
  llvm::DenseSet<mlir::Value> ofLoss, readLater;
};

} // namespace vcc::precision

#endif
