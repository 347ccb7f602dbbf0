// SPDX-License-Identifier: Apache-2.0
//
// One elementwise operation of the graph on register values: scalars, or vectors that hold columns of a row or rows of a column.
#ifndef VCC_COMPILER_CODEGEN_BODY_POINTWISE_H
#define VCC_COMPILER_CODEGEN_BODY_POINTWISE_H

#include "compiler/codegen/body/Body.h"
#include "compiler/codegen/body/VectorMath.h"

namespace vcc::codegen {

/// What code for a body has to know of the machine.
struct Machine {
  llvm::StringRef Name; // for people: "CPU"
  bool HasFma = true;
  bool HasHalves = false; // bf16 and f16: computed in f32, each result rounded
  bool DividesIntegers = false; // rather than by way of f64
};

class Pointwise {
public:
  Pointwise(mlir::ImplicitLocOpBuilder &B, const Machine &On) : B(B), Math(B, On.HasFma), On(On) {}

  /// The result of an elementwise operation or a draw; `Operands` are all scalars or all vectors of one length. Fails with an
  /// error on the operation when it has no code for these types.
  mlir::FailureOr<mlir::Value> emit(mlir::Operation *Op, llvm::ArrayRef<mlir::Value> Operands);

  /// Combines two partial values of a reduction.
  mlir::Value combine(tg::ReduceKind Kind, mlir::Type Element, mlir::Value A, mlir::Value C);
  /// The value that changes nothing when combined.
  mlir::Value identity(tg::ReduceKind Kind, mlir::Type Element, mlir::Type Register);
  /// All lanes of a vector combined, in an order fixed by the width: halves onto halves.
  mlir::Value combineLanes(tg::ReduceKind Kind, mlir::Type Element, mlir::Value Vector);

  /// bf16 and f16 as f32, in which all arithmetic on them is done; other values as they are.
  mlir::Value widen(mlir::Value X);
  /// Back to the element type of a graph value, rounded to the nearest.
  mlir::Value narrow(mlir::Value X, mlir::Type Element);

  /// Whether recomputing the operation costs more than a store and a load.
  static bool isExpensive(mlir::Operation *Op);

  mlir::ImplicitLocOpBuilder &B;
  VectorMath Math;

private:
  mlir::InFlightDiagnostic unsupported(mlir::Operation *Op);
  bool hasCodeFor(mlir::Type Element) const;
  mlir::FailureOr<mlir::Value> emitWide(mlir::Operation *Op, llvm::ArrayRef<mlir::Value> Operands);
  mlir::FailureOr<mlir::Value> unary(mlir::Operation *Op, mlir::Value X);
  mlir::FailureOr<mlir::Value> binary(mlir::Operation *Op, mlir::Value A, mlir::Value C);
  mlir::Value compare(tg::CompareOp Op, mlir::Value A, mlir::Value C);
  mlir::Value extreme(bool Largest, mlir::Type Element, mlir::Value A, mlir::Value C);
  mlir::Value divide(mlir::Type Element, mlir::Value A, mlir::Value C);
  mlir::Value cast(mlir::Type From, mlir::Type To, mlir::Value X);
  mlir::Value draw(bool Normal, llvm::ArrayRef<mlir::Value> Words, mlir::Type Element);

  Machine On;
};

} // namespace vcc::codegen

#endif
