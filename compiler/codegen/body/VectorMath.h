// SPDX-License-Identifier: Apache-2.0
//
// Elementary functions as polynomials over arith and math operations that are single instructions: never a call. Each function
// takes and gives a scalar or a 1-D vector of f32 (or f64 where it says so) and means the same for both, lane by lane, so that a
// result never depends on whether an element was computed in a full vector, a masked tail or alone. f32 results are within
// 3e-7 of the true value relatively (tests/unit/codegen/VectorMathTest.cpp measures each); infinities, NaN and zeros come out as
// in C. The polynomials are minimax fits in the style of N. Juffa and Cephes.
#ifndef VCC_COMPILER_CODEGEN_BODY_VECTORMATH_H
#define VCC_COMPILER_CODEGEN_BODY_VECTORMATH_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace vcc::codegen {

class VectorMath {
public:
  VectorMath(mlir::ImplicitLocOpBuilder &B, bool HasFma) : B(B), HasFma(HasFma) {}

  mlir::Value exp(mlir::Value X); // f32, f64
  mlir::Value log(mlir::Value X); // f32, f64
  mlir::Value tanh(mlir::Value X); // f32, f64
  mlir::Value sigmoid(mlir::Value X); // f32, f64
  mlir::Value erf(mlir::Value X); // f32 only
  mlir::Value sin(mlir::Value X) { return sinCos(X, /*WantsCos=*/false); } // f32, f64; |x| <= 2^30
  mlir::Value cos(mlir::Value X) { return sinCos(X, /*WantsCos=*/true); }
  mlir::Value cosOfTurns(mlir::Value U); // cos(2 pi u), f32, 0 <= u <= 1
  mlir::Value rsqrt(mlir::Value X); // one division and one root: correctly rounded each
  mlir::Value pow(mlir::Value X, mlir::Value Y); // f32, f64

  /// a * b + c, fused where the CPU can.
  mlir::Value fma(mlir::Value A, mlir::Value C, mlir::Value D);

  /// A constant of this type (splat when it is a vector).
  mlir::Value real(mlir::Type Type, double Number);
  mlir::Value integer(mlir::Type Type, int64_t Number);
  /// The same shape with another element type.
  static mlir::Type like(mlir::Type Type, mlir::Type Element);

private:
  mlir::Value horner(mlir::Value X, llvm::ArrayRef<double> Coefficients);
  mlir::Value exp32(mlir::Value X);
  mlir::Value exp64(mlir::Value X);
  mlir::Value log32(mlir::Value X);
  mlir::Value log64(mlir::Value X);
  mlir::Value logarithmOfSpecials(mlir::Value X, mlir::Value Ordinary);
  mlir::Value sinCos(mlir::Value X, bool WantsCos);
  mlir::Value quadrantValue(mlir::Value Quadrant, mlir::Value Sine, mlir::Value Cos);
  mlir::Value sin32(mlir::Value R);
  mlir::Value cos32(mlir::Value R);
  mlir::Value powerOfTwo(mlir::Value Exponent, mlir::Type Float);
  mlir::Value less(mlir::Value A, mlir::Value C);
  mlir::Value clamp(mlir::Value X, double Low, double High);
  mlir::Value mul(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::MulFOp>(A, C); }
  mlir::Value add(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::AddFOp>(A, C); }
  mlir::Value sub(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::SubFOp>(A, C); }
  mlir::Value div(mlir::Value A, mlir::Value C) { return B.create<mlir::arith::DivFOp>(A, C); }
  mlir::Value select(mlir::Value If, mlir::Value A, mlir::Value C) {
    return B.create<mlir::arith::SelectOp>(If, A, C);
  }
  mlir::Value toBits(mlir::Value X);
  mlir::Value fromBits(mlir::Value Bits, mlir::Type Float);

  mlir::ImplicitLocOpBuilder &B;
  bool HasFma;
};

} // namespace vcc::codegen

#endif
