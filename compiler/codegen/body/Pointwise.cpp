// SPDX-License-Identifier: Apache-2.0
//
// The table from graph operations to arith, math and the polynomials. No fast-math flag is set anywhere: what an element becomes
// must not depend on the place where its operation was emitted.
#include "compiler/codegen/body/Pointwise.h"

#include "compiler/codegen/body/Philox.h"
#include "llvm/ADT/TypeSwitch.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::codegen {

bool Pointwise::isExpensive(Operation *Op) {
  return Op && isa<tg::ExpOp, tg::LogOp, tg::TanhOp, tg::ErfOp, tg::SinOp, tg::CosOp, tg::SigmoidOp, tg::PowOp,
                   tg::RsqrtOp, tg::SqrtOp, tg::DivOp, tg::DrawUniformOp, tg::DrawNormalOp>(Op);
}

static bool isHalf(Type Element) { return Element.isBF16() || Element.isF16(); }

bool Pointwise::hasCodeFor(Type Element) const {
  return registerElement(Element) && (On.HasHalves || !isHalf(Element));
}

Value Pointwise::widen(Value X) {
  Type Element = getElementTypeOrSelf(X.getType());
  if (!isHalf(Element))
    return X;
  if (Element.isBF16()) { // the upper half of an f32
    Type I32 = VectorMath::like(X.getType(), B.getI32Type());
    Value Bits = B.create<arith::BitcastOp>(VectorMath::like(X.getType(), B.getI16Type()), X);
    Bits = B.create<arith::ShLIOp>(B.create<arith::ExtUIOp>(I32, Bits), Math.integer(I32, 16));
    return B.create<arith::BitcastOp>(VectorMath::like(X.getType(), B.getF32Type()), Bits);
  }
  return B.create<arith::ExtFOp>(VectorMath::like(X.getType(), B.getF32Type()), X);
}

Value Pointwise::narrow(Value X, Type Element) {
  Type Now = getElementTypeOrSelf(X.getType());
  if (Now == Element || !isHalf(Element))
    return X;
  return B.create<arith::TruncFOp>(VectorMath::like(X.getType(), Element), X);
}

InFlightDiagnostic Pointwise::unsupported(Operation *Op) {
  return Op->emitOpError("has no ") << On.Name << " code for element type "
                                    << getElementTypeOrSelf(Op->getNumOperands() ? Op->getOperand(0).getType() : Op->getResult(0).getType());
}

FailureOr<Value> Pointwise::emit(Operation *Op, ArrayRef<Value> Given) {
  for (Type Type : Op->getResultTypes())
    if (!hasCodeFor(getElementTypeOrSelf(Type)))
      return unsupported(Op);
  SmallVector<Value> Operands(Given);
  if (!isa<tg::SelectOp>(Op))
    for (Value &Operand : Operands)
      Operand = widen(Operand);
  FailureOr<Value> Result = emitWide(Op, Operands);
  if (failed(Result))
    return failure();
  return narrow(*Result, getElementTypeOrSelf(Op->getResult(0).getType()));
}

FailureOr<Value> Pointwise::emitWide(Operation *Op, ArrayRef<Value> Operands) {
  if (auto Compare = dyn_cast<tg::CompareOp>(Op))
    return compare(Compare, Operands[0], Operands[1]);
  if (isa<tg::SelectOp>(Op))
    return Value(B.create<arith::SelectOp>(Operands[0], Operands[1], Operands[2]));
  if (isa<tg::CastOp>(Op)) {
    Type From = getElementTypeOrSelf(Op->getOperand(0).getType()), To = getElementTypeOrSelf(Op->getResult(0).getType());
    return cast(isHalf(From) ? B.getF32Type() : From, isHalf(To) && !From.isF64() ? B.getF32Type() : To, Operands[0]);
  }
  if (isa<tg::DrawUniformOp, tg::DrawNormalOp>(Op)) {
    Type Element = getElementTypeOrSelf(Op->getResult(0).getType());
    if (!getElementTypeOrSelf(Operands[0].getType()).isInteger(32))
      return unsupported(Op);
    return draw(isa<tg::DrawNormalOp>(Op), Operands, isHalf(Element) ? B.getF32Type() : Element);
  }
  if (isa<tg::StopGradientOp>(Op))
    return Operands[0];
  if (Operands.size() == 1)
    return unary(Op, Operands[0]);
  if (Operands.size() == 2)
    return binary(Op, Operands[0], Operands[1]);
  return Op->emitOpError("is not an operation that a ") << On.Name << " kernel can contain";
}

FailureOr<Value> Pointwise::unary(Operation *Op, Value X) {
  bool Float = isa<FloatType>(getElementTypeOrSelf(X.getType()));
  bool Single = getElementTypeOrSelf(X.getType()).isF32();
  using Result = FailureOr<Value>;
  auto Only = [&](bool Condition, llvm::function_ref<Value()> Make) -> Result {
    return Condition ? Result(Make()) : Result(unsupported(Op));
  };
  auto Zero = [&] { return Math.integer(X.getType(), 0); };
  return llvm::TypeSwitch<Operation *, Result>(Op)
      .Case<tg::NegOp>([&](auto) -> Value {
        return Float ? Value(B.create<arith::NegFOp>(X)) : Value(B.create<arith::SubIOp>(Zero(), X));
      })
      .Case<tg::AbsOp>([&](auto) -> Value {
        if (Float)
          return B.create<math::AbsFOp>(X);
        if (getElementTypeOrSelf(X.getType()).isInteger(1) ||
            getElementTypeOrSelf(Op->getOperand(0).getType()).isUnsignedInteger())
          return X;
        return B.create<arith::MaxSIOp>(X, B.create<arith::SubIOp>(Zero(), X));
      })
      .Case<tg::NotOp>([&](auto) -> Value { return B.create<arith::XOrIOp>(X, Math.integer(X.getType(), 1)); })
      .Case<tg::ExpOp>([&](auto) { return Only(Float, [&] { return Math.exp(X); }); })
      .Case<tg::LogOp>([&](auto) { return Only(Float, [&] { return Math.log(X); }); })
      .Case<tg::TanhOp>([&](auto) { return Only(Float, [&] { return Math.tanh(X); }); })
      .Case<tg::SigmoidOp>([&](auto) { return Only(Float, [&] { return Math.sigmoid(X); }); })
      .Case<tg::ErfOp>([&](auto) { return Only(Single, [&] { return Math.erf(X); }); })
      .Case<tg::SinOp>([&](auto) { return Only(Float, [&] { return Math.sin(X); }); })
      .Case<tg::CosOp>([&](auto) { return Only(Float, [&] { return Math.cos(X); }); })
      .Case<tg::RsqrtOp>([&](auto) { return Only(Float, [&] { return Math.rsqrt(X); }); })
      .Case<tg::SqrtOp>([&](auto) { return Only(Float, [&]() -> Value { return B.create<math::SqrtOp>(X); }); })
      .Case<tg::FloorOp>([&](auto) { return Only(Float, [&]() -> Value { return B.create<math::FloorOp>(X); }); })
      .Default([&](Operation *) -> Result {
        return Op->emitOpError("is not an operation that a ") << On.Name << " kernel can contain";
      });
}

FailureOr<Value> Pointwise::binary(Operation *Op, Value A, Value C) {
  Type Element = getElementTypeOrSelf(Op->getOperand(0).getType());
  bool Float = isa<FloatType>(Element);
  using Result = FailureOr<Value>;
  return llvm::TypeSwitch<Operation *, Result>(Op)
      .Case<tg::AddOp>([&](auto) -> Value {
        return Float ? Value(B.create<arith::AddFOp>(A, C)) : Value(B.create<arith::AddIOp>(A, C));
      })
      .Case<tg::SubOp>([&](auto) -> Value {
        return Float ? Value(B.create<arith::SubFOp>(A, C)) : Value(B.create<arith::SubIOp>(A, C));
      })
      .Case<tg::MulOp>([&](auto) -> Value {
        return Float ? Value(B.create<arith::MulFOp>(A, C)) : Value(B.create<arith::MulIOp>(A, C));
      })
      .Case<tg::DivOp>([&](auto) -> Value { return divide(Element, A, C); })
      .Case<tg::MaxOp>([&](auto) -> Value { return extreme(true, Element, A, C); })
      .Case<tg::MinOp>([&](auto) -> Value { return extreme(false, Element, A, C); })
      .Case<tg::PowOp>([&](auto) -> Result { return Float ? Result(Math.pow(A, C)) : Result(unsupported(Op)); })
      .Case<tg::AndOp>([&](auto) -> Value { return B.create<arith::AndIOp>(A, C); })
      .Case<tg::OrOp>([&](auto) -> Value { return B.create<arith::OrIOp>(A, C); })
      .Default([&](Operation *) -> Result {
        return Op->emitOpError("is not an operation that a ") << On.Name << " kernel can contain";
      });
}

/// a where a > b, else b: one instruction for floats, and what the graph's max and min mean but for the sign of zero.
Value Pointwise::extreme(bool Largest, Type Element, Value A, Value C) {
  if (isa<FloatType>(Element)) {
    auto Predicate = Largest ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT;
    return B.create<arith::SelectOp>(B.create<arith::CmpFOp>(Predicate, A, C), A, C);
  }
  if (Element.isInteger(1))
    return Largest ? Value(B.create<arith::OrIOp>(A, C)) : Value(B.create<arith::AndIOp>(A, C));
  if (Element.isUnsignedInteger())
    return Largest ? Value(B.create<arith::MaxUIOp>(A, C)) : Value(B.create<arith::MinUIOp>(A, C));
  return Largest ? Value(B.create<arith::MaxSIOp>(A, C)) : Value(B.create<arith::MinSIOp>(A, C));
}

/// Whole numbers truncate and x / 0 = 0. Up to 32 bits the quotient of two doubles, truncated, is exact, and CPUs divide vectors
/// of doubles but not of integers.
Value Pointwise::divide(Type Element, Value A, Value C) {
  if (isa<FloatType>(Element))
    return B.create<arith::DivFOp>(A, C);
  Type T = A.getType();
  bool Unsigned = Element.isUnsignedInteger() || Element.isInteger(1);
  Value Zero = Math.integer(T, 0);
  Value IsZero = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, C, Zero);
  Value Safe = B.create<arith::SelectOp>(IsZero, Math.integer(T, 1), C);
  if (Element.isInteger(1))
    return B.create<arith::AndIOp>(A, C);
  Value Quotient;
  if (Unsigned && On.DividesIntegers) {
    Quotient = B.create<arith::DivUIOp>(A, Safe);
  } else if (Element.isInteger(64) || On.DividesIntegers) {
    // -1 is taken apart: the smallest number has no negative.
    Value MinusOne = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Safe, Math.integer(T, -1));
    Value Divisor = B.create<arith::SelectOp>(MinusOne, Math.integer(T, 1), Safe);
    Value Usual = B.create<arith::DivSIOp>(A, Divisor);
    Quotient = B.create<arith::SelectOp>(MinusOne, B.create<arith::SubIOp>(Zero, A), Usual);
  } else {
    Type Double = VectorMath::like(T, B.getF64Type());
    auto ToDouble = [&](Value X) -> Value {
      return Unsigned ? Value(B.create<arith::UIToFPOp>(Double, X)) : Value(B.create<arith::SIToFPOp>(Double, X));
    };
    Value Real = B.create<arith::DivFOp>(ToDouble(A), ToDouble(Safe));
    Value Limit = Math.real(Double, 2147483647.0);
    Real = B.create<arith::SelectOp>(B.create<arith::CmpFOp>(arith::CmpFPredicate::OLT, Real, Limit), Real, Limit);
    Quotient = B.create<arith::FPToSIOp>(VectorMath::like(T, B.getI32Type()), Real);
    if (!Element.isInteger(32))
      Quotient = B.create<arith::TruncIOp>(T, Quotient);
  }
  return B.create<arith::SelectOp>(IsZero, Zero, Quotient);
}

Value Pointwise::compare(tg::CompareOp Op, Value A, Value C) {
  Type Element = getElementTypeOrSelf(Op.getLhs().getType());
  unsigned Which = static_cast<unsigned>(Op.getPredicate()); // eq ne lt le gt ge
  if (isa<FloatType>(Element)) {
    using P = arith::CmpFPredicate;
    static const P Table[] = {P::OEQ, P::UNE, P::OLT, P::OLE, P::OGT, P::OGE};
    return B.create<arith::CmpFOp>(Table[Which], A, C);
  }
  using P = arith::CmpIPredicate;
  static const P Signed[] = {P::eq, P::ne, P::slt, P::sle, P::sgt, P::sge};
  static const P Unsigned[] = {P::eq, P::ne, P::ult, P::ule, P::ugt, P::uge};
  bool Plain = Element.isUnsignedInteger() || Element.isInteger(1);
  return B.create<arith::CmpIOp>((Plain ? Unsigned : Signed)[Which], A, C);
}

Value Pointwise::cast(Type From, Type To, Value X) {
  Type Target = VectorMath::like(X.getType(), registerElement(To));
  if (From == To)
    return X;
  bool Unsigned = From.isUnsignedInteger() || From.isInteger(1);
  if (To.isInteger(1)) {
    if (isa<FloatType>(From))
      return B.create<arith::CmpFOp>(arith::CmpFPredicate::UNE, X, Math.real(X.getType(), 0.0));
    return B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, X, Math.integer(X.getType(), 0));
  }
  if (isa<FloatType>(From) && isa<FloatType>(To))
    return From.getIntOrFloatBitWidth() < To.getIntOrFloatBitWidth() ? Value(B.create<arith::ExtFOp>(Target, X))
                                                                     : Value(B.create<arith::TruncFOp>(Target, X));
  if (isa<FloatType>(From)) {
    if (To.getIntOrFloatBitWidth() >= 32)
      return B.create<arith::FPToSIOp>(Target, X);
    // Through i32, so that -1.0 to ui8 is not poison.
    Value Wide = B.create<arith::FPToSIOp>(VectorMath::like(X.getType(), B.getI32Type()), X);
    return B.create<arith::TruncIOp>(Target, Wide);
  }
  if (isa<FloatType>(To))
    return Unsigned ? Value(B.create<arith::UIToFPOp>(Target, X)) : Value(B.create<arith::SIToFPOp>(Target, X));
  unsigned Old = From.getIntOrFloatBitWidth(), New = To.getIntOrFloatBitWidth();
  if (Old == New)
    return X;
  if (Old > New)
    return B.create<arith::TruncIOp>(Target, X);
  return Unsigned ? Value(B.create<arith::ExtUIOp>(Target, X)) : Value(B.create<arith::ExtSIOp>(Target, X));
}

/// `Words`: key low and high, then the counter's inner, sample, step, site.
Value Pointwise::draw(bool Normal, ArrayRef<Value> Words, Type Element) {
  std::array<Value, 4> Random = philox(B, {Words[0], Words[1]}, {Words[2], Words[3], Words[4], Words[5]});
  Type Int = Words[0].getType(), Single = VectorMath::like(Int, B.getF32Type());
  auto Unit = [&](Value Word) -> Value {
    Value Top = B.create<arith::ShRUIOp>(Word, Math.integer(Int, 8));
    return B.create<arith::MulFOp>(B.create<arith::SIToFPOp>(Single, Top), Math.real(Single, 0x1p-24));
  };
  Value Result = Unit(Random[0]);
  if (Normal) {
    Value Log = Math.log(B.create<arith::SubFOp>(Math.real(Single, 1.0), Result));
    Value Radius = B.create<math::SqrtOp>(B.create<arith::MulFOp>(Math.real(Single, -2.0), Log));
    Result = B.create<arith::MulFOp>(Radius, Math.cosOfTurns(Unit(Random[1])));
  }
  return cast(B.getF32Type(), Element, Result);
}

Value Pointwise::combine(tg::ReduceKind Kind, Type Element, Value A, Value C) {
  if (Kind != tg::ReduceKind::Sum)
    return extreme(Kind == tg::ReduceKind::Max, Element, A, C);
  return isa<FloatType>(Element) ? Value(B.create<arith::AddFOp>(A, C)) : Value(B.create<arith::AddIOp>(A, C));
}

Value Pointwise::identity(tg::ReduceKind Kind, Type Element, Type Register) {
  if (isa<FloatType>(Element)) {
    double Infinity = std::numeric_limits<double>::infinity();
    return Math.real(Register, Kind == tg::ReduceKind::Sum ? 0.0 : Kind == tg::ReduceKind::Max ? -Infinity : Infinity);
  }
  if (Kind == tg::ReduceKind::Sum)
    return Math.integer(Register, 0);
  bool Unsigned = Element.isUnsignedInteger() || Element.isInteger(1);
  unsigned Bits = Element.getIntOrFloatBitWidth();
  APInt Low = Unsigned ? APInt::getZero(Bits) : APInt::getSignedMinValue(Bits);
  APInt High = Unsigned ? APInt::getAllOnes(Bits) : APInt::getSignedMaxValue(Bits);
  return Math.integer(Register, (Kind == tg::ReduceKind::Max ? Low : High).getSExtValue());
}

Value Pointwise::combineLanes(tg::ReduceKind Kind, Type Element, Value Vector) {
  int64_t Width = mlir::cast<VectorType>(Vector.getType()).getNumElements();
  for (; Width > 1; Width /= 2) {
    SmallVector<int64_t> Low, High;
    for (int64_t I = 0; I < Width / 2; ++I) {
      Low.push_back(I);
      High.push_back(I + Width / 2);
    }
    Vector = combine(Kind, Element, B.create<vector::ShuffleOp>(Vector, Vector, Low),
                     B.create<vector::ShuffleOp>(Vector, Vector, High));
  }
  return B.create<vector::ExtractOp>(Vector, ArrayRef<int64_t>{0});
}

} // namespace vcc::codegen
