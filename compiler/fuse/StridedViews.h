// SPDX-License-Identifier: Apache-2.0
//
// Values seen as strided windows of the values they are made from. Reshapes, transposes, slices and broadcasts move no
// data when their reader can step through memory by strides; this file does the arithmetic of that (as in NumPy).
#ifndef VCC_COMPILER_FUSE_STRIDEDVIEWS_H
#define VCC_COMPILER_FUSE_STRIDEDVIEWS_H

#include "dialects/tg/Tg.h"

namespace vcc::fuse {

/// Element `i` (row-major multi-index over `shape`) is element `offset + sum(i * strides)` of `base`, which may be narrower
/// (bf16 seen as f32): its reader widens what it loads.
struct StridedView {
  mlir::Value base;
  int64_t offset = 0;
  llvm::SmallVector<int64_t, 4> shape, strides;

  int64_t count() const;
  /// Whether this is all of the base, in order. The element type may be another.
  bool isWhole() const;
};

/// A dimension list without unit dimensions, neighbours merged where one stride covers both.
struct CollapsedDims {
  llvm::SmallVector<int64_t, 4> sizes, strides;
};
CollapsedDims collapseDims(llvm::ArrayRef<int64_t> sizes, llvm::ArrayRef<int64_t> strides);

/// The view of a value on the nearest value that no view operation makes. A reshape that strides cannot express ends
/// the search: its result is its own base.
StridedView resolveView(mlir::Value value);

/// Whether `op` only renames elements of its single operand: reshape, transpose, slice, broadcast, a cast that widens.
bool isViewOp(mlir::Operation *op);

/// Whether a reshape of this view can be expressed by strides; if so `view` becomes the reshaped one.
bool reshapeView(StridedView &view, llvm::ArrayRef<int64_t> shape);

/// The places (in elements from the innermost) at which the view's stride changes, its element count included.
/// A walk over [sizes] with these as borders can express the view.
llvm::SmallVector<int64_t, 4> viewBorders(const CollapsedDims &dims);

/// Adds borders to a chain (sorted, each dividing the next). False, and the chain unchanged, when they do not divide.
bool addBorders(llvm::SmallVectorImpl<int64_t> &chain, llvm::ArrayRef<int64_t> borders);

/// Strides of the collapsed dims for each segment [borders[i], borders[i+1]) of a chain that starts with 1 and ends
/// with the view's element count, outermost first.
llvm::SmallVector<int64_t, 4> stridesOverChain(const CollapsedDims &dims, llvm::ArrayRef<int64_t> chain);

/// Whether kernels make the value anew wherever they use it: a repeated constant, an iota, a random draw.
bool isSource(mlir::Value value);
/// Whether the value is one number repeated.
bool isSplat(mlir::Value value);

/// The shape of a value.
llvm::ArrayRef<int64_t> shapeOf(mlir::Value value);
int64_t countOf(mlir::Value value);
mlir::Type elementOf(mlir::Value value);

} // namespace vcc::fuse

#endif
