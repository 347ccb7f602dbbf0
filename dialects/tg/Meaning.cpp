// SPDX-License-Identifier: Apache-2.0
//
// Host tensors, rounding, and constant folding by meaning.
#include "dialects/tg/Meaning.h"
#include "dialects/tg/Tg.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/bit.h"

#include <cmath>

using namespace mlir;
using namespace vcc::tg;

MeaningContext::~MeaningContext() = default;
LogicalResult MeaningContext::readState(StringRef, HostTensor &) { return failure(); }
LogicalResult MeaningContext::writeState(StringRef, const HostTensor &, bool) { return failure(); }
LogicalResult MeaningContext::readInput(StringRef, HostTensor &) { return failure(); }
LogicalResult MeaningContext::writeOutput(StringRef, const HostTensor &) { return failure(); }
Operation *MeaningContext::lookupKernel(StringRef) { return nullptr; }
ArrayRef<HostTensor> MeaningContext::peers() const { return {}; }
int64_t MeaningContext::rank() const { return 0; }

int64_t vcc::tg::elementCount(ArrayRef<int64_t> Shape) {
  int64_t Count = 1;
  for (int64_t Size : Shape)
    Count *= Size;
  return Count;
}

SmallVector<int64_t> vcc::tg::rowMajorStrides(ArrayRef<int64_t> Shape) {
  SmallVector<int64_t> Strides(Shape.size(), 1);
  for (int64_t Axis = static_cast<int64_t>(Shape.size()) - 2; Axis >= 0; --Axis)
    Strides[Axis] = Strides[Axis + 1] * Shape[Axis + 1];
  return Strides;
}

HostTensor::HostTensor(ArrayRef<int64_t> Shape, Type ElementType)
    : Shape(Shape), ElementType(ElementType), Data(elementCount(Shape), 0.0) {}
HostTensor::HostTensor(RankedTensorType Type) : HostTensor(Type.getShape(), Type.getElementType()) {}

static const llvm::fltSemantics &narrowSemantics(Type ElementType) {
  return cast<FloatType>(ElementType).getFloatSemantics();
}

static double roundToInteger(double Value, IntegerType Type) {
  if (Type.getWidth() == 1)
    return Value != 0.0 ? 1.0 : 0.0;
  if (std::isnan(Value))
    return 0.0;
  double Whole = std::trunc(Value);
  if (Type.getWidth() >= 64)
    return Whole;
  double Modulus = std::ldexp(1.0, Type.getWidth());
  double Wrapped = Whole - Modulus * std::floor(Whole / Modulus);
  return !Type.isUnsigned() && Wrapped >= Modulus / 2 ? Wrapped - Modulus : Wrapped;
}

// To nearest, ties to even, straight from the double. In reach of its normal numbers a bf16 is a double without its last 45 bits.
static double roundToBf16(double Value) {
  constexpr uint64_t Dropped = 45, Half = uint64_t(1) << (Dropped - 1);
  double Size = std::abs(Value);
  if (!(Size >= 0x1p-126 && Size <= 0x1p127)) { // subnormal, close to the end, infinite or no number
    llvm::APFloat Narrow(Value);
    bool Loses = false;
    Narrow.convert(llvm::APFloat::BFloat(), llvm::APFloat::rmNearestTiesToEven, &Loses);
    Narrow.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &Loses);
    return Narrow.convertToDouble();
  }
  auto Bits = llvm::bit_cast<uint64_t>(Value);
  Bits += Half - 1 + ((Bits >> Dropped) & 1);
  return llvm::bit_cast<double>(Bits >> Dropped << Dropped);
}

double vcc::tg::roundToElement(double Value, Type ElementType) {
  if (auto Integer = dyn_cast<IntegerType>(ElementType))
    return roundToInteger(Value, Integer);
  if (ElementType.isF64())
    return Value;
  if (ElementType.isF32())
    return static_cast<float>(Value);
  if (ElementType.isBF16())
    return roundToBf16(Value);
  llvm::APFloat Narrow(Value);
  bool Loses = false;
  Narrow.convert(narrowSemantics(ElementType), llvm::APFloat::rmNearestTiesToEven, &Loses);
  Narrow.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &Loses);
  return Narrow.convertToDouble();
}

uint32_t vcc::tg::siteHash(StringRef Path) {
  uint32_t Hash = 2166136261u;
  for (unsigned char C : Path)
    Hash = (Hash ^ C) * 16777619u;
  return Hash;
}

void vcc::tg::philox(const uint32_t (&Counter)[4], const uint32_t (&Key)[2], uint32_t (&Words)[4]) {
  uint32_t K0 = Key[0], K1 = Key[1];
  uint32_t C0 = Counter[0], C1 = Counter[1], C2 = Counter[2], C3 = Counter[3];
  for (int Round = 0; Round < 10; ++Round) {
    uint64_t P0 = uint64_t(0xD2511F53u) * C0, P1 = uint64_t(0xCD9E8D57u) * C2;
    uint32_t N0 = uint32_t(P1 >> 32) ^ C1 ^ K0, N2 = uint32_t(P0 >> 32) ^ C3 ^ K1;
    C1 = uint32_t(P1);
    C3 = uint32_t(P0);
    C0 = N0;
    C2 = N2;
    K0 += 0x9E3779B9u;
    K1 += 0xBB67AE85u;
  }
  Words[0] = C0;
  Words[1] = C1;
  Words[2] = C2;
  Words[3] = C3;
}

LogicalResult vcc::tg::evaluateOp(Operation *Op, MeaningContext &Context, ArrayRef<const HostTensor *> Operands,
                                  MutableArrayRef<HostTensor> Results) {
  auto Meaning = dyn_cast<MeaningOpInterface>(Op);
  if (!Meaning)
    return Op->emitOpError("has no meaning in the interpreter");
  if (failed(Meaning.evaluate(Context, Operands, Results)))
    return failure();
  for (HostTensor &Result : Results)
    if (isa<IntegerType>(Result.ElementType) || Context.precision() == Precision::Own)
      for (double &Element : Result.Data)
        Element = roundToElement(Element, Result.ElementType);
  return success();
}

HostTensor vcc::tg::fromAttribute(DenseElementsAttr Value) {
  HostTensor Tensor(cast<RankedTensorType>(Value.getType()));
  auto Store = [&](auto Values, auto ToDouble) {
    int64_t I = 0;
    for (const auto &Element : Values)
      Tensor.Data[I++] = ToDouble(Element);
  };
  if (auto Integer = dyn_cast<IntegerType>(Tensor.ElementType)) {
    bool Signed = !Integer.isUnsigned() && Integer.getWidth() > 1;
    Store(Value.getValues<APInt>(), [&](const APInt &E) {
      return Signed ? static_cast<double>(E.getSExtValue()) : static_cast<double>(E.getZExtValue());
    });
  } else {
    Store(Value.getValues<APFloat>(), [](APFloat E) {
      bool Loses = false;
      E.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &Loses);
      return E.convertToDouble();
    });
  }
  return Tensor;
}

static Attribute elementAttribute(double Value, Type ElementType) {
  if (auto Integer = dyn_cast<IntegerType>(ElementType)) {
    auto Whole = static_cast<int64_t>(roundToElement(Value, ElementType));
    return IntegerAttr::get(Integer, APInt(Integer.getWidth(), static_cast<uint64_t>(Whole), false));
  }
  return FloatAttr::get(ElementType, roundToElement(Value, ElementType));
}

DenseElementsAttr vcc::tg::toAttribute(const HostTensor &Value) {
  auto Type = RankedTensorType::get(Value.Shape, Value.ElementType);
  SmallVector<Attribute> Elements;
  Elements.reserve(Value.Data.size());
  for (double Element : Value.Data)
    Elements.push_back(elementAttribute(Element, Value.ElementType));
  return DenseElementsAttr::get(Type, Elements);
}

// What a constant of this size costs to fold is nothing beside what a larger one costs to keep in the text.
static constexpr int64_t FoldedElements = 256;

static bool isExact(const HostTensor &Tensor) {
  return llvm::all_of(Tensor.Data, [&](double E) { return E == roundToElement(E, Tensor.ElementType); });
}

static bool allSplat(ArrayRef<Attribute> Operands) {
  return llvm::all_of(Operands, [](Attribute A) { return cast<DenseElementsAttr>(A).isSplat(); });
}

// A splat of any size is folded as one scalar.
static LogicalResult foldSplats(Operation *Op, ArrayRef<Attribute> Operands, SmallVectorImpl<OpFoldResult> &Results) {
  SmallVector<HostTensor> Inputs;
  SmallVector<const HostTensor *> Pointers;
  for (Attribute A : Operands) {
    auto Dense = cast<DenseElementsAttr>(A);
    auto Scalar = RankedTensorType::get({}, Dense.getElementType());
    Inputs.push_back(fromAttribute(Dense.resizeSplat(Scalar)));
  }
  for (const HostTensor &Input : Inputs)
    Pointers.push_back(&Input);
  auto ResultType = cast<RankedTensorType>(Op->getResult(0).getType());
  HostTensor Result({}, ResultType.getElementType());
  MeaningContext Context;
  if (failed(evaluateOp(Op, Context, Pointers, Result)) || !isExact(Result))
    return failure();
  Results.push_back(toAttribute(Result).resizeSplat(ResultType));
  return success();
}

// Doubles do not hold every i64.
static bool isWide(Type T) { return getElementTypeOrSelf(T).isInteger(64); }

LogicalResult vcc::tg::foldByMeaning(Operation *Op, ArrayRef<Attribute> Operands,
                                     SmallVectorImpl<OpFoldResult> &Results) {
  if (Operands.empty() || Op->getNumResults() != 1 || isWide(Op->getResult(0).getType()) ||
      llvm::any_of(Op->getOperandTypes(), isWide))
    return failure();
  int64_t Elements = cast<RankedTensorType>(Op->getResult(0).getType()).getNumElements();
  for (Attribute A : Operands) {
    auto Dense = dyn_cast_if_present<DenseElementsAttr>(A);
    if (!Dense || Dense.getNumElements() == 0)
      return failure();
    Elements = std::max(Elements, Dense.getNumElements());
  }
  if (Op->hasTrait<OpTrait::Elementwise>() && allSplat(Operands))
    return foldSplats(Op, Operands, Results);
  if (Elements > FoldedElements)
    return failure();
  SmallVector<HostTensor> Inputs;
  SmallVector<const HostTensor *> Pointers;
  for (Attribute A : Operands)
    Inputs.push_back(fromAttribute(cast<DenseElementsAttr>(A)));
  for (const HostTensor &Input : Inputs)
    Pointers.push_back(&Input);
  HostTensor Result(cast<RankedTensorType>(Op->getResult(0).getType()));
  MeaningContext Context;
  if (failed(evaluateOp(Op, Context, Pointers, Result)) || !isExact(Result))
    return failure();
  Results.push_back(toAttribute(Result));
  return success();
}
