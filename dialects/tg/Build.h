// SPDX-License-Identifier: Apache-2.0
//
// Builders for what gradients and passes say often.
#ifndef VCC_DIALECTS_TG_BUILD_H
#define VCC_DIALECTS_TG_BUILD_H

#include "dialects/tg/Tg.h"

namespace vcc::tg {

inline mlir::RankedTensorType tensorType(mlir::Value V) { return llvm::cast<mlir::RankedTensorType>(V.getType()); }

/// A dense splat attribute: `Value` rounded to the element type of `Type`.
mlir::DenseElementsAttr splatAttribute(mlir::RankedTensorType Type, double Value);

/// The value of a splat of numbers, if it is one.
std::optional<double> splatValue(mlir::Attribute Value);
std::optional<double> splatValue(mlir::Value Value);

mlir::Value buildSplat(mlir::OpBuilder &B, mlir::Location Loc, mlir::RankedTensorType Type, double Value);
mlir::Value buildSum(mlir::OpBuilder &B, mlir::Location Loc, mlir::Value X, llvm::ArrayRef<int64_t> Axes);

/// `Size` elements of `X` along an axis, from `Begin` on.
mlir::Value buildPart(mlir::OpBuilder &B, mlir::Location Loc, mlir::Value X, int64_t Axis, int64_t Begin, int64_t Size);
/// Values beside each other along an axis.
mlir::Value buildConcat(mlir::OpBuilder &B, mlir::Location Loc, llvm::ArrayRef<mlir::Value> Parts, int64_t Axis);

/// Repeats `X` along `NewAxes` of `Type`; the other axes of `Type` are those of `X` in order.
mlir::Value buildBroadcast(mlir::OpBuilder &B, mlir::Location Loc, mlir::Value X, mlir::RankedTensorType Type,
                           llvm::ArrayRef<int64_t> NewAxes);

/// Whether `Op` is a cast of bf16 or f16 to f32 or f64, which changes no value.
bool isWidening(mlir::Operation *Op);

/// The axes 0..Rank-1 that are not in `Axes`, increasing.
llvm::SmallVector<int64_t> otherAxes(int64_t Rank, llvm::ArrayRef<int64_t> Axes);

} // namespace vcc::tg

#endif
