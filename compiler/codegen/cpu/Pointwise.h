// SPDX-License-Identifier: Apache-2.0
//
// One elementwise operation of the graph on register values: scalars, or vectors that hold columns of a row or rows of a column.
#ifndef VCC_COMPILER_CODEGEN_CPU_POINTWISE_H
#define VCC_COMPILER_CODEGEN_CPU_POINTWISE_H

#include "compiler/codegen/cpu/VectorMath.h"
#include "dialects/tg/Tg.h"

namespace vcc::cpu {

class Pointwise {
public:
  Pointwise(mlir::ImplicitLocOpBuilder &B, bool HasFma) : B(B), Math(B, HasFma) {}

  /// The result of an elementwise operation or a draw; `Operands` are all scalars or all vectors of one length. Fails with an
  /// error on the operation when it has no code for these types.
  mlir::FailureOr<mlir::Value> emit(mlir::Operation *Op, llvm::ArrayRef<mlir::Value> Operands);

  /// Combines two partial values of a reduction.
  mlir::Value combine(tg::ReduceKind Kind, mlir::Type Element, mlir::Value A, mlir::Value C);
  /// The value that changes nothing when combined.
  mlir::Value identity(tg::ReduceKind Kind, mlir::Type Element, mlir::Type Register);
  /// All lanes of a vector combined, in an order fixed by the width: halves onto halves.
  mlir::Value combineLanes(tg::ReduceKind Kind, mlir::Type Element, mlir::Value Vector);

  /// Whether recomputing the operation costs more than a store and a load.
  static bool isExpensive(mlir::Operation *Op);

  mlir::ImplicitLocOpBuilder &B;
  VectorMath Math;

private:
  mlir::FailureOr<mlir::Value> unary(mlir::Operation *Op, mlir::Value X);
  mlir::FailureOr<mlir::Value> binary(mlir::Operation *Op, mlir::Value A, mlir::Value C);
  mlir::Value compare(tg::CompareOp Op, mlir::Value A, mlir::Value C);
  mlir::Value extreme(bool Largest, mlir::Type Element, mlir::Value A, mlir::Value C);
  mlir::Value divide(mlir::Type Element, mlir::Value A, mlir::Value C);
  mlir::Value cast(mlir::Type From, mlir::Type To, mlir::Value X);
  mlir::Value draw(bool Normal, llvm::ArrayRef<mlir::Value> Words, mlir::Type Element);
};

} // namespace vcc::cpu

#endif
