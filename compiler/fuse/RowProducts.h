// SPDX-License-Identifier: Apache-2.0
//
// Products of rows with a matrix that a state holds, as linear layers and their backward are.
#ifndef VCC_COMPILER_FUSE_ROWPRODUCTS_H
#define VCC_COMPILER_FUSE_ROWPRODUCTS_H

#include "dialects/tg/Tg.h"

namespace vcc::fuse {

/// Whether rows of `a` are multiplied with a matrix of which `axis` is contracted: 1 of a linear layer's weight, 0 in its backward.
bool multipliesRows(tg::DotGeneralOp dot, int64_t axis);
/// Such a product, in elements of a type.
mlir::Value multiplyRows(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type element, mlir::Value rows, mlir::Value matrix, int64_t axis);

/// What a value is but for its float type, if a cast from another one makes it; else null.
mlir::Value unrounded(mlir::Value value);

/// The state that a value is read from, as it is or rounded.
llvm::StringRef stateBehind(mlir::Value value);

} // namespace vcc::fuse

#endif
