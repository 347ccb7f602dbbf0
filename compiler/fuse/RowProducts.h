// SPDX-License-Identifier: Apache-2.0
//
// Products of rows with a matrix that a state holds, as linear layers and their backward are.
#ifndef VCC_COMPILER_FUSE_ROWPRODUCTS_H
#define VCC_COMPILER_FUSE_ROWPRODUCTS_H

#include "dialects/tg/Tg.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace vcc::fuse {

/// Whether rows of `a` are multiplied with a matrix of which `axis` is contracted: 1 of a linear layer's weight, 0 in its backward.
bool multipliesRows(tg::DotGeneralOp dot, int64_t axis);
mlir::Value multiplyRows(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::Value rows, mlir::Value matrix, int64_t axis);

/// The state that a value is read from, as it is or rounded.
llvm::StringRef stateBehind(mlir::Value value);

/// The flat states, or states by themselves, that a function writes.
llvm::StringSet<> storagesWritten(mlir::func::FuncOp function, const llvm::StringMap<tg::StateOp> &states);
llvm::StringRef storageOf(tg::StateOp state);

} // namespace vcc::fuse

#endif
