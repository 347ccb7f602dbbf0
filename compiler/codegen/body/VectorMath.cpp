// SPDX-License-Identifier: Apache-2.0
//
// The polynomials. Integer parts of floats are found by adding 1.5 * 2^23 (or 2^52) and reading the low bits, which needs no
// float-to-integer conversion and so is defined for NaN and infinities too.
#include "compiler/codegen/body/VectorMath.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinTypes.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace vcc::codegen {
namespace {

constexpr double Infinity = std::numeric_limits<double>::infinity();
constexpr double Round32 = 12582912.0;         // 1.5 * 2^23
constexpr double Round64 = 6755399441055744.0; // 1.5 * 2^52

bool isDouble(Value X) { return getElementTypeOrSelf(X.getType()).isF64(); }

} // namespace

Type VectorMath::like(Type Shape, Type Element) {
  if (auto Vector = dyn_cast<VectorType>(Shape))
    return VectorType::get(Vector.getShape(), Element);
  return Element;
}

Value VectorMath::real(Type Type, double Number) {
  mlir::Type Element = getElementTypeOrSelf(Type);
  TypedAttr Scalar = B.getFloatAttr(Element, Number);
  if (auto Vector = dyn_cast<VectorType>(Type))
    Scalar = DenseElementsAttr::get(Vector, Scalar);
  return B.create<arith::ConstantOp>(Scalar);
}

Value VectorMath::integer(Type Type, int64_t Number) {
  mlir::Type Element = getElementTypeOrSelf(Type);
  TypedAttr Scalar = B.getIntegerAttr(Element, Number);
  if (auto Vector = dyn_cast<VectorType>(Type))
    Scalar = DenseElementsAttr::get(Vector, Scalar);
  return B.create<arith::ConstantOp>(Scalar);
}

Value VectorMath::fma(Value A, Value C, Value D) {
  // Without the instruction llvm.fma becomes a call of libm's fmaf.
  if (HasFma)
    return B.create<math::FmaOp>(A, C, D);
  return add(mul(A, C), D);
}

Value VectorMath::horner(Value X, ArrayRef<double> Coefficients) {
  Value Sum = real(X.getType(), Coefficients.front());
  for (double Coefficient : Coefficients.drop_front())
    Sum = fma(Sum, X, real(X.getType(), Coefficient));
  return Sum;
}

Value VectorMath::less(Value A, Value C) { return B.create<arith::CmpFOp>(arith::CmpFPredicate::OLT, A, C); }

Value VectorMath::clamp(Value X, double Low, double High) {
  Value L = real(X.getType(), Low), H = real(X.getType(), High);
  X = select(less(X, L), L, X);
  return select(less(H, X), H, X);
}

Value VectorMath::toBits(Value X) {
  Type Element = isDouble(X) ? B.getI64Type() : B.getI32Type();
  return B.create<arith::BitcastOp>(like(X.getType(), Element), X);
}

Value VectorMath::fromBits(Value Bits, Type Float) { return B.create<arith::BitcastOp>(Float, Bits); }

/// 2^n for an integer n within the normal exponents.
Value VectorMath::powerOfTwo(Value Exponent, Type Float) {
  bool Double = getElementTypeOrSelf(Float).isF64();
  Type Int = Exponent.getType();
  Value Biased = B.create<arith::AddIOp>(Exponent, integer(Int, Double ? 1023 : 127));
  return fromBits(B.create<arith::ShLIOp>(Biased, integer(Int, Double ? 52 : 23)), Float);
}

Value VectorMath::exp(Value X) { return isDouble(X) ? exp64(X) : exp32(X); }

Value VectorMath::exp32(Value X) {
  Type T = X.getType();
  Value C = clamp(X, -104.0, 89.0);
  Value Shifted = fma(C, real(T, 1.44269504f), real(T, Round32));
  Value N = sub(Shifted, real(T, Round32));
  Value R = fma(N, real(T, -0.693145752f), C);
  R = fma(N, real(T, -1.42860677e-6f), R);
  Value P = horner(R, {1.37805939e-3, 8.37312452e-3, 4.16695364e-2, 1.66664720e-1, 4.99999851e-1, 1.0, 1.0});
  Value I = toBits(Shifted);
  I = B.create<arith::SubIOp>(I, integer(I.getType(), 0x4B400000));
  // Two factors, so that both the subnormal results and the overflow come out right.
  Value Half = B.create<arith::ShRSIOp>(I, integer(I.getType(), 1));
  Value Rest = B.create<arith::SubIOp>(I, Half);
  return mul(mul(P, powerOfTwo(Half, T)), powerOfTwo(Rest, T));
}

Value VectorMath::exp64(Value X) {
  Type T = X.getType();
  Value C = clamp(X, -746.0, 711.0);
  Value Shifted = fma(C, real(T, 1.4426950408889634), real(T, Round64));
  Value N = sub(Shifted, real(T, Round64));
  Value R = fma(N, real(T, -6.93147180369123816490e-01), C);
  R = fma(N, real(T, -1.90821492927058770002e-10), R);
  SmallVector<double> Series;
  double Factorial = 1;
  for (int I = 0; I <= 13; ++I) {
    Series.insert(Series.begin(), 1 / Factorial);
    Factorial *= I + 1;
  }
  Value P = horner(R, Series);
  Value I = toBits(Shifted);
  I = B.create<arith::SubIOp>(I, integer(I.getType(), 0x4338000000000000));
  Value Half = B.create<arith::ShRSIOp>(I, integer(I.getType(), 1));
  Value Rest = B.create<arith::SubIOp>(I, Half);
  return mul(mul(P, powerOfTwo(Half, T)), powerOfTwo(Rest, T));
}

/// log of 0 is -inf, of less NaN, of inf and NaN themselves.
Value VectorMath::logarithmOfSpecials(Value X, Value Ordinary) {
  Type T = X.getType();
  Value Zero = real(T, 0.0), Inf = real(T, Infinity);
  Value Negative = select(less(X, Zero), real(T, std::numeric_limits<double>::quiet_NaN()), X);
  Value IsZero = B.create<arith::CmpFOp>(arith::CmpFPredicate::OEQ, X, Zero);
  Value Special = select(IsZero, real(T, -Infinity), Negative);
  Value Usual = B.create<arith::AndIOp>(less(Zero, X), less(X, Inf));
  return select(Usual, Ordinary, Special);
}

Value VectorMath::log(Value X) { return isDouble(X) ? log64(X) : log32(X); }

Value VectorMath::log32(Value X) {
  Type T = X.getType();
  Value Tiny = less(X, real(T, 1.17549435e-38f));
  Value A = select(Tiny, mul(X, real(T, 8388608.0)), X);
  Value I = select(Tiny, real(T, -23.0), real(T, 0.0));
  Value Bits = toBits(A);
  Type Int = Bits.getType();
  Value E = B.create<arith::SubIOp>(Bits, integer(Int, 0x3f2aaaab)); // 2/3
  E = B.create<arith::AndIOp>(E, integer(Int, static_cast<int32_t>(0xff800000)));
  Value M = fromBits(B.create<arith::SubIOp>(Bits, E), T);
  I = fma(B.create<arith::SIToFPOp>(T, E), real(T, 1.19209290e-7f), I);
  Value F = sub(M, real(T, 1.0));
  Value S = mul(F, F);
  Value R = horner(S, {-0.130310059, -0.121483512, -0.166846126, -0.249996200});
  Value Q = horner(S, {0.140869141, 0.139814854, 0.200120345});
  R = fma(Q, F, R);
  R = fma(R, F, real(T, 0.333331972));
  R = fma(R, F, real(T, -0.5));
  R = fma(R, S, F);
  R = fma(I, real(T, 0.693147182f), R);
  return logarithmOfSpecials(X, R);
}

Value VectorMath::log64(Value X) {
  Type T = X.getType();
  Value Tiny = less(X, real(T, 2.2250738585072014e-308));
  Value A = select(Tiny, mul(X, real(T, 4503599627370496.0)), X);
  Value I = select(Tiny, real(T, -52.0), real(T, 0.0));
  Value Bits = toBits(A);
  Type Int = Bits.getType();
  Value E = B.create<arith::SubIOp>(Bits, integer(Int, 0x3FE6A09E667F3BCD)); // sqrt(1/2)
  E = B.create<arith::ShRSIOp>(E, integer(Int, 52));
  Value M = fromBits(B.create<arith::SubIOp>(Bits, B.create<arith::ShLIOp>(E, integer(Int, 52))), T);
  I = add(B.create<arith::SIToFPOp>(T, E), I);
  // log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.172
  Value F = sub(M, real(T, 1.0));
  Value S = div(F, add(M, real(T, 1.0)));
  Value Z = mul(S, S);
  SmallVector<double> Series;
  for (int K = 11; K >= 1; --K)
    Series.push_back(2.0 / (2 * K + 1));
  Value Tail = mul(mul(horner(Z, Series), Z), S);
  Value R = add(mul(S, real(T, 2.0)), Tail);
  R = fma(I, real(T, 1.90821492927058770002e-10), R);
  R = fma(I, real(T, 6.93147180369123816490e-01), R);
  return logarithmOfSpecials(X, R);
}

Value VectorMath::sigmoid(Value X) {
  Type T = X.getType();
  Value E = exp(B.create<arith::NegFOp>(X));
  return div(real(T, 1.0), add(real(T, 1.0), E));
}

Value VectorMath::tanh(Value X) {
  Type T = X.getType();
  Value A = B.create<math::AbsFOp>(X);
  Value One = real(T, 1.0);
  Value E = exp(add(A, A));
  Value Large = sub(One, div(real(T, 2.0), add(E, One)));
  Large = B.create<math::CopySignOp>(Large, X);
  Value Z = mul(X, X), Small;
  if (isDouble(X)) {
    // Lambert's continued fraction, exact to the last bit below one half.
    Value D = real(T, 21.0);
    for (int K = 19; K >= 1; K -= 2)
      D = add(real(T, K), div(Z, D));
    Small = div(X, D);
  } else {
    Value P = horner(Z, {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1});
    Small = fma(mul(P, Z), X, X);
  }
  return select(less(A, real(T, isDouble(X) ? 0.5 : 0.625)), Small, Large);
}

Value VectorMath::erf(Value X) {
  Type T = X.getType();
  Value A = B.create<math::AbsFOp>(X);
  Value S = mul(X, X);
  Value R = fma(real(T, -1.72853470e-5), A, real(T, 3.83197126e-4));
  Value U = fma(real(T, -3.88396438e-3), A, real(T, 2.42546219e-2));
  R = fma(R, S, U);
  R = fma(R, A, real(T, -1.06777877e-1));
  R = fma(R, A, real(T, -6.34846687e-1));
  R = fma(R, A, real(T, -1.28717512e-1));
  R = fma(R, A, B.create<arith::NegFOp>(A));
  Value Large = B.create<math::CopySignOp>(sub(real(T, 1.0), exp32(R)), X);
  Value P = horner(S, {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  Value Small = fma(P, X, X);
  return select(less(real(T, 0.927734375), A), Large, Small);
}

Value VectorMath::rsqrt(Value X) { return div(real(X.getType(), 1.0), B.create<math::SqrtOp>(X)); }

/// Reduction to [-pi/4, pi/4] in f64, where three parts of pi/2 are exact without a fused multiply-add; the quadrant then picks
/// one of two polynomials and the sign.
Value VectorMath::sinCos(Value X, bool WantsCos) {
  Type Out = X.getType();
  Type T = like(Out, B.getF64Type());
  Value D = isDouble(X) ? X : B.create<arith::ExtFOp>(T, X);
  Value Shifted = fma(D, real(T, 0.63661977236758134), real(T, Round64));
  Value N = sub(Shifted, real(T, Round64));
  Value R = fma(N, real(T, -1.57079632673412561417e+00), D); // first 33 bits of pi/2
  R = fma(N, real(T, -6.07710050630396597660e-11), R);       // next 33
  R = fma(N, real(T, -2.02226624879595063154e-21), R);
  R = clamp(R, -0.7853982, 0.7853982);
  Value Quadrant = toBits(Shifted);
  Value Sine, Cos;
  if (isDouble(X)) {
    Value Z = mul(R, R);
    SmallVector<double> S, C;
    double F = 1;
    for (int K = 0; K <= 9; ++K) { // 1/(2K)! and 1/(2K+1)! with alternating signs
      double Sign = K % 2 ? -1 : 1;
      C.insert(C.begin(), Sign / F);
      S.insert(S.begin(), Sign / (F * (2 * K + 1)));
      F *= (2 * K + 1) * (2 * K + 2);
    }
    Sine = mul(R, horner(Z, S));
    Cos = horner(Z, C);
  } else {
    Quadrant = B.create<arith::TruncIOp>(like(Out, B.getI32Type()), Quadrant);
    Value F = B.create<arith::TruncFOp>(Out, R);
    Sine = sin32(F);
    Cos = cos32(F);
  }
  if (WantsCos)
    Quadrant = B.create<arith::AddIOp>(Quadrant, integer(Quadrant.getType(), 1));
  // x - x is 0 for finite x and NaN otherwise.
  return add(quadrantValue(Quadrant, Sine, Cos), sub(X, X));
}

/// sin of the sum of `Quadrant` quarter turns and an angle, from the angle's sine and cos.
Value VectorMath::quadrantValue(Value Quadrant, Value Sine, Value Cos) {
  Type Int = Quadrant.getType();
  auto BitSet = [&](int64_t Bit) -> Value {
    Value And = B.create<arith::AndIOp>(Quadrant, integer(Int, Bit));
    return B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, And, integer(Int, 0));
  };
  Value Picked = select(BitSet(1), Cos, Sine);
  return select(BitSet(2), B.create<arith::NegFOp>(Picked), Picked);
}

Value VectorMath::sin32(Value R) {
  Value Z = mul(R, R);
  Value P = horner(Z, {2.86567956e-6, -1.98559923e-4, 8.33338592e-3, -1.66666672e-1});
  return fma(P, mul(Z, R), R);
}

Value VectorMath::cos32(Value R) {
  return horner(mul(R, R), {2.44677067e-5, -1.38877297e-3, 4.16666567e-2, -5.0e-1, 1.0});
}

Value VectorMath::cosOfTurns(Value U) {
  Type T = U.getType();
  Value Quarters = mul(U, real(T, 4.0));
  Value Shifted = add(Quarters, real(T, Round32));
  Value R = mul(sub(Quarters, sub(Shifted, real(T, Round32))), real(T, 1.57079637));
  Value Quadrant = toBits(Shifted);
  Quadrant = B.create<arith::AddIOp>(Quadrant, integer(Quadrant.getType(), 1));
  return quadrantValue(Quadrant, sin32(R), cos32(R));
}

/// exp(y log |x|) in f64, whose 53 bits leave the product y log |x| exact enough for an f32 result of any size.
Value VectorMath::pow(Value X, Value Y) {
  Type Out = X.getType();
  Type T = like(Out, B.getF64Type());
  Value A = isDouble(X) ? X : B.create<arith::ExtFOp>(T, X);
  Value P = isDouble(X) ? Y : B.create<arith::ExtFOp>(T, Y);
  Value Magnitude = exp64(mul(P, log64(B.create<math::AbsFOp>(A))));
  Value Zero = real(T, 0.0);
  auto Equal = [&](Value L, Value R) -> Value { return B.create<arith::CmpFOp>(arith::CmpFPredicate::OEQ, L, R); };
  Value Integral = Equal(B.create<math::FloorOp>(P), P);
  Value Half = mul(P, real(T, 0.5));
  Value Even = Equal(B.create<math::FloorOp>(Half), Half);
  Value Signed = select(Even, Magnitude, B.create<arith::NegFOp>(Magnitude));
  Value OfNegative = select(Integral, Signed, real(T, std::numeric_limits<double>::quiet_NaN()));
  Value Result = select(less(A, Zero), OfNegative, Magnitude);
  Result = select(Equal(P, Zero), real(T, 1.0), Result);
  Result = select(Equal(A, real(T, 1.0)), real(T, 1.0), Result);
  return isDouble(X) ? Result : B.create<arith::TruncFOp>(Out, Result);
}

} // namespace vcc::codegen
