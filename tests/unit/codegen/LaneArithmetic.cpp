// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/codegen/LaneArithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cmath>
#include <cstring>

using namespace mlir;

namespace vcc::test {
namespace {

template <typename To, typename From> To bitsAs(From X) {
  To Result;
  static_assert(sizeof(To) == sizeof(From));
  std::memcpy(&Result, &X, sizeof(To));
  return Result;
}

unsigned width(Type T) { return T.isIndex() ? 64 : T.getIntOrFloatBitWidth(); }
uint64_t wrapped(uint64_t Bits, Type T) { return width(T) == 64 ? Bits : Bits & ((uint64_t(1) << width(T)) - 1); }
int64_t asSigned(uint64_t Bits, Type T) { return int64_t(Bits << (64 - width(T))) >> (64 - width(T)); }

/// A number of f32 or f64; halves are only converted, never computed with.
double toDouble(uint64_t Bits, Type T) {
  if (T.isF64())
    return bitsAs<double>(Bits);
  if (T.isF32())
    return bitsAs<float>(uint32_t(Bits));
  APFloat Half(mlir::cast<FloatType>(T).getFloatSemantics(), APInt(16, Bits));
  bool Lost;
  Half.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &Lost);
  return Half.convertToDouble();
}

uint64_t fromDouble(double X, Type T) {
  if (T.isF64())
    return bitsAs<uint64_t>(X);
  if (T.isF32())
    return bitsAs<uint32_t>(float(X));
  APFloat Number(X);
  bool Lost;
  Number.convert(mlir::cast<FloatType>(T).getFloatSemantics(), APFloat::rmNearestTiesToEven, &Lost);
  return Number.bitcastToAPInt().getZExtValue();
}

bool compareFloats(arith::CmpFPredicate Predicate, double A, double B) {
  using P = arith::CmpFPredicate;
  bool Unordered = std::isnan(A) || std::isnan(B);
  switch (Predicate) {
  case P::OEQ: return A == B;
  case P::OGT: return A > B;
  case P::OGE: return A >= B;
  case P::OLT: return A < B;
  case P::OLE: return A <= B;
  case P::ONE: return !Unordered && A != B;
  case P::ORD: return !Unordered;
  case P::UNO: return Unordered;
  case P::UEQ: return Unordered || A == B;
  case P::UGT: return !(A <= B);
  case P::UGE: return !(A < B);
  case P::ULT: return !(A >= B);
  case P::ULE: return !(A > B);
  case P::UNE: return A != B;
  case P::AlwaysTrue: return true;
  case P::AlwaysFalse: return false;
  }
  return false;
}

bool compareIntegers(arith::CmpIPredicate Predicate, uint64_t A, uint64_t B, Type T) {
  using P = arith::CmpIPredicate;
  int64_t SA = asSigned(A, T), SB = asSigned(B, T);
  switch (Predicate) {
  case P::eq: return A == B;
  case P::ne: return A != B;
  case P::slt: return SA < SB;
  case P::sle: return SA <= SB;
  case P::sgt: return SA > SB;
  case P::sge: return SA >= SB;
  case P::ult: return A < B;
  case P::ule: return A <= B;
  case P::ugt: return A > B;
  case P::uge: return A >= B;
  }
  return false;
}

/// Arithmetic in the type itself, never in a wider one.
template <typename F> uint64_t floats(uint64_t A, uint64_t B, Type T, F Compute) {
  if (T.isF64())
    return bitsAs<uint64_t>(Compute(bitsAs<double>(A), bitsAs<double>(B)));
  return bitsAs<uint32_t>(Compute(bitsAs<float>(uint32_t(A)), bitsAs<float>(uint32_t(B))));
}

/// One element of an elementwise operation; nothing for one that is not known.
std::optional<uint64_t> element(Operation &Op, ArrayRef<uint64_t> X, Type From, Type To) {
  auto Sign = [&](unsigned I) { return asSigned(X[I], From); };
  if (isa<FloatType>(From) && isa<FloatType>(To) && width(From) < 32 && !isa<arith::ExtFOp, arith::SelectOp, arith::BitcastOp>(Op))
    return std::nullopt;
  if (isa<arith::AddIOp>(Op)) return wrapped(X[0] + X[1], To);
  if (isa<arith::SubIOp>(Op)) return wrapped(X[0] - X[1], To);
  if (isa<arith::MulIOp>(Op)) return wrapped(X[0] * X[1], To);
  if (isa<arith::DivUIOp>(Op)) return X[1] ? X[0] / X[1] : 0;
  if (isa<arith::RemUIOp>(Op)) return X[1] ? X[0] % X[1] : 0;
  if (isa<arith::DivSIOp>(Op)) return X[1] ? wrapped(uint64_t(Sign(0) / Sign(1)), To) : 0;
  if (isa<arith::RemSIOp>(Op)) return X[1] ? wrapped(uint64_t(Sign(0) % Sign(1)), To) : 0;
  if (isa<arith::AndIOp>(Op)) return X[0] & X[1];
  if (isa<arith::OrIOp>(Op)) return X[0] | X[1];
  if (isa<arith::XOrIOp>(Op)) return X[0] ^ X[1];
  if (isa<arith::ShLIOp>(Op)) return wrapped(X[0] << X[1], To);
  if (isa<arith::ShRUIOp>(Op)) return X[0] >> X[1];
  if (isa<arith::ShRSIOp>(Op)) return wrapped(uint64_t(Sign(0) >> X[1]), To);
  if (isa<arith::MinSIOp>(Op)) return Sign(0) < Sign(1) ? X[0] : X[1];
  if (isa<arith::MaxSIOp>(Op)) return Sign(0) > Sign(1) ? X[0] : X[1];
  if (isa<arith::MinUIOp>(Op)) return std::min(X[0], X[1]);
  if (isa<arith::MaxUIOp>(Op)) return std::max(X[0], X[1]);
  if (isa<arith::ExtUIOp, arith::IndexCastUIOp>(Op)) return X[0];
  if (isa<arith::ExtSIOp, arith::IndexCastOp>(Op)) return wrapped(uint64_t(Sign(0)), To);
  if (isa<arith::TruncIOp>(Op)) return wrapped(X[0], To);
  if (isa<arith::BitcastOp>(Op)) return X[0];
  if (isa<arith::SelectOp>(Op)) return X[0] ? X[1] : X[2];
  if (auto Compare = dyn_cast<arith::CmpIOp>(Op)) return compareIntegers(Compare.getPredicate(), X[0], X[1], From);
  if (auto Compare = dyn_cast<arith::CmpFOp>(Op))
    return compareFloats(Compare.getPredicate(), toDouble(X[0], From), toDouble(X[1], From));
  if (isa<arith::ExtFOp, arith::TruncFOp>(Op)) return fromDouble(toDouble(X[0], From), To);
  if (isa<arith::SIToFPOp>(Op)) return To.isF32() ? bitsAs<uint32_t>(float(Sign(0))) : fromDouble(double(Sign(0)), To);
  if (isa<arith::UIToFPOp>(Op)) return To.isF32() ? bitsAs<uint32_t>(float(X[0])) : fromDouble(double(X[0]), To);
  if (isa<arith::FPToSIOp>(Op)) { // out of range as the hardware does it
    double V = toDouble(X[0], From), Limit = std::ldexp(1.0, width(To) - 1);
    int64_t Whole = std::isnan(V) ? 0 : V >= Limit ? int64_t(Limit - 1) : V <= -Limit ? -int64_t(Limit) : int64_t(V);
    return wrapped(uint64_t(Whole), To);
  }
  if (isa<arith::NegFOp>(Op)) return X[0] ^ (uint64_t(1) << (width(To) - 1));
  if (isa<math::AbsFOp>(Op)) return X[0] & ~(uint64_t(1) << (width(To) - 1));
  if (isa<math::CopySignOp>(Op)) {
    uint64_t Bit = uint64_t(1) << (width(To) - 1);
    return (X[0] & ~Bit) | (X[1] & Bit);
  }
  if (isa<arith::AddFOp>(Op)) return floats(X[0], X[1], To, [](auto A, auto B) { return A + B; });
  if (isa<arith::SubFOp>(Op)) return floats(X[0], X[1], To, [](auto A, auto B) { return A - B; });
  if (isa<arith::MulFOp>(Op)) return floats(X[0], X[1], To, [](auto A, auto B) { return A * B; });
  if (isa<arith::DivFOp>(Op)) return floats(X[0], X[1], To, [](auto A, auto B) { return A / B; });
  if (isa<math::SqrtOp>(Op)) return floats(X[0], 0, To, [](auto A, auto) { return std::sqrt(A); });
  if (isa<math::FloorOp>(Op)) return floats(X[0], 0, To, [](auto A, auto) { return std::floor(A); });
  if (isa<math::FmaOp>(Op)) {
    if (To.isF64())
      return bitsAs<uint64_t>(std::fma(bitsAs<double>(X[0]), bitsAs<double>(X[1]), bitsAs<double>(X[2])));
    return bitsAs<uint32_t>(
        std::fma(bitsAs<float>(uint32_t(X[0])), bitsAs<float>(uint32_t(X[1])), bitsAs<float>(uint32_t(X[2]))));
  }
  return std::nullopt;
}

uint64_t bitsOf(Attribute Number, Type T) {
  if (auto Float = dyn_cast<FloatAttr>(Number))
    return Float.getValue().bitcastToAPInt().getZExtValue();
  return wrapped(uint64_t(mlir::cast<IntegerAttr>(Number).getValue().getSExtValue()), T);
}

bool computeVector(Operation &Op, ArrayRef<Lane> In, Lane &Out) {
  if (isa<vector::BroadcastOp, vector::SplatOp>(Op)) {
    for (uint64_t &Bits : Out.Bits)
      Bits = In[0].Bits[0];
  } else if (auto Extract = dyn_cast<vector::ExtractOp>(Op)) {
    Out.Bits[0] = In[0].Bits[Extract.getStaticPosition()[0]];
  } else if (auto Insert = dyn_cast<vector::InsertOp>(Op)) {
    for (size_t I = 0; I < Out.Bits.size(); ++I)
      Out.Bits[I] = In[1].Bits[I];
    Out.Bits[Insert.getStaticPosition()[0]] = In[0].Bits[0];
  } else if (auto Shuffle = dyn_cast<vector::ShuffleOp>(Op)) {
    for (auto [I, From] : llvm::enumerate(Shuffle.getMask().getAsValueRange<IntegerAttr>())) {
      size_t Place = From.getZExtValue(), First = In[0].Bits.size();
      Out.Bits[I] = Place < First ? In[0].Bits[Place] : In[1].Bits[Place - First];
    }
  } else if (isa<vector::FromElementsOp>(Op)) {
    for (size_t I = 0; I < Out.Bits.size(); ++I)
      Out.Bits[I] = In[I].Bits[0];
  } else {
    return false;
  }
  return true;
}

} // namespace

bool computeLane(Operation &Op, ArrayRef<Lane> In, MutableArrayRef<Lane> Out) {
  if (auto Constant = dyn_cast<arith::ConstantOp>(Op)) {
    auto Dense = dyn_cast<DenseElementsAttr>(Constant.getValue());
    for (size_t I = 0; I < Out[0].Bits.size(); ++I)
      Out[0].Bits[I] = bitsOf(Dense ? Dense.getValues<Attribute>()[I] : Attribute(Constant.getValue()), Out[0].Element);
    return true;
  }
  if (isa<vector::VectorDialect>(Op.getDialect()))
    return computeVector(Op, In, Out[0]);
  if (isa<arith::MulUIExtendedOp>(Op)) {
    unsigned Bits = width(Out[0].Element);
    for (size_t I = 0; I < Out[0].Bits.size(); ++I) {
      unsigned __int128 Product = static_cast<unsigned __int128>(In[0].Bits[I]) * In[1].Bits[I];
      Out[0].Bits[I] = wrapped(uint64_t(Product), Out[0].Element);
      Out[1].Bits[I] = uint64_t(Product >> Bits);
    }
    return true;
  }
  for (size_t I = 0; I < Out[0].Bits.size(); ++I) {
    uint64_t X[3] = {};
    for (size_t K = 0; K < In.size(); ++K)
      X[K] = In[K].Bits[In[K].Bits.size() == 1 ? 0 : I];
    Type From = isa<arith::SelectOp>(Op) ? In[1].Element : In[0].Element;
    std::optional<uint64_t> Result = element(Op, ArrayRef<uint64_t>(X, In.size()), From, Out[0].Element);
    if (!Result)
      return false;
    Out[0].Bits[I] = *Result;
  }
  return true;
}

} // namespace vcc::test
