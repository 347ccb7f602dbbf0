// SPDX-License-Identifier: Apache-2.0
//
// Contraction family: inference and verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Contraction.cpp.inc"

// Each axis of an operand is named at most once, and exists.
static LogicalResult checkAxes(std::optional<Location> Loc, StringRef Operand, RankedTensorType Type,
                               ArrayRef<int64_t> Batch, ArrayRef<int64_t> Contract) {
  SmallVector<bool> Seen(Type.getRank(), false);
  for (ArrayRef<int64_t> Axes : {Batch, Contract})
    for (int64_t Axis : Axes) {
      if (Axis < 0 || Axis >= Type.getRank())
        return emitOptionalError(Loc, "'tg.dot_general' op names axis ", Axis, " of operand ", Operand,
                                 ", which has rank ", Type.getRank());
      if (Seen[Axis])
        return emitOptionalError(Loc, "'tg.dot_general' op names axis ", Axis, " of operand ", Operand, " twice");
      Seen[Axis] = true;
    }
  return success();
}

static LogicalResult checkPairs(std::optional<Location> Loc, StringRef Role, RankedTensorType A, ArrayRef<int64_t> AxesA,
                                RankedTensorType B, ArrayRef<int64_t> AxesB) {
  if (AxesA.size() != AxesB.size())
    return emitOptionalError(Loc, "'tg.dot_general' op has ", AxesA.size(), " ", Role, " axes of a but ", AxesB.size(),
                             " of b");
  for (auto [X, Y] : llvm::zip_equal(AxesA, AxesB))
    if (A.getDimSize(X) != B.getDimSize(Y))
      return emitOptionalError(Loc, "'tg.dot_general' op ", Role, " axis ", X, " of a has size ", A.getDimSize(X),
                               " but axis ", Y, " of b has ", B.getDimSize(Y));
  return success();
}

static SmallVector<int64_t> freeAxes(RankedTensorType Type, ArrayRef<int64_t> Batch, ArrayRef<int64_t> Contract) {
  SmallVector<int64_t> Named(Batch);
  llvm::append_range(Named, Contract);
  return otherAxes(Type.getRank(), Named);
}

LogicalResult DotGeneralOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                             SmallVectorImpl<Type> &Types) {
  auto A = dyn_cast<RankedTensorType>(Adaptor.getA().getType());
  auto B = dyn_cast<RankedTensorType>(Adaptor.getB().getType());
  if (!A || !B || A.getElementType() != B.getElementType())
    return emitOptionalError(Loc, "'tg.dot_general' op operands must be tensors of one element type");
  if (failed(checkAxes(Loc, "a", A, Adaptor.getBatchA(), Adaptor.getContractA())) ||
      failed(checkAxes(Loc, "b", B, Adaptor.getBatchB(), Adaptor.getContractB())) ||
      failed(checkPairs(Loc, "batch", A, Adaptor.getBatchA(), B, Adaptor.getBatchB())) ||
      failed(checkPairs(Loc, "contracted", A, Adaptor.getContractA(), B, Adaptor.getContractB())))
    return failure();
  SmallVector<int64_t> Shape;
  for (int64_t Axis : Adaptor.getBatchA())
    Shape.push_back(A.getDimSize(Axis));
  for (int64_t Axis : freeAxes(A, Adaptor.getBatchA(), Adaptor.getContractA()))
    Shape.push_back(A.getDimSize(Axis));
  for (int64_t Axis : freeAxes(B, Adaptor.getBatchB(), Adaptor.getContractB()))
    Shape.push_back(B.getDimSize(Axis));
  Types.push_back(A.clone(Shape));
  return success();
}

static bool isNarrow(Type Element) { return Element.isBF16() || Element.isF16(); }

// Products of narrow operands are summed in f32, which the result may keep.
static bool mayGive(Type Operand, Type Result) { return Operand == Result || (isNarrow(Operand) && Result.isF32()); }

bool DotGeneralOp::isCompatibleReturnTypes(TypeRange Inferred, TypeRange Given) {
  auto Own = cast<RankedTensorType>(Inferred.front());
  auto Other = Given.size() == 1 ? dyn_cast<RankedTensorType>(Given.front()) : RankedTensorType();
  return Other && Own.getShape() == Other.getShape() && mayGive(Own.getElementType(), Other.getElementType());
}

// The largest element that strides reach, plus one.
static int64_t reach(ArrayRef<int64_t> Batch, int64_t Rows, int64_t Columns, ArrayRef<int64_t> Strides,
                     int64_t Offset) {
  int64_t Last = Offset;
  for (auto [I, Size] : llvm::enumerate(Batch))
    Last += (Size - 1) * Strides[I];
  return Last + (Rows - 1) * Strides[Batch.size()] + (Columns - 1) * Strides[Batch.size() + 1] + 1;
}

LogicalResult GemmOp::verify() {
  Type Operand = getElementTypeOrSelf(getA()), Result = getElementTypeOrSelf(getType());
  if (getElementTypeOrSelf(getB()) != Operand)
    return emitOpError("operands must be of one element type");
  if (!mayGive(Operand, Result))
    return emitOpError("gives ") << Result << " but products of " << Operand << " are not summed in that";
  for (Value Added : {getBias(), getAddend()})
    if (Added && getElementTypeOrSelf(Added) != Result)
      return emitOpError("adds ") << getElementTypeOrSelf(Added) << " to a result of " << Result;
  ArrayRef<int64_t> Batch = getBatch();
  auto M = static_cast<int64_t>(getM()), N = static_cast<int64_t>(getN()), K = static_cast<int64_t>(getK());
  if (Batch.size() > 2)
    return emitOpError("has ") << Batch.size() << " batch sizes but a product takes at most 2";
  if (M < 1 || N < 1 || K < 1 || llvm::any_of(Batch, [](int64_t Size) { return Size < 1; }))
    return emitOpError("sizes must be at least 1");
  size_t Strides = Batch.size() + 2;
  if (getAStrides().size() != Strides || getBStrides().size() != Strides || getCStrides().size() != Strides)
    return emitOpError("needs ") << Strides << " strides for each matrix";
  auto CheckReach = [&](StringRef Name, Value Operand, ArrayRef<int64_t> S, int64_t Rows, int64_t Columns,
                        int64_t Offset) -> LogicalResult {
    bool Negative = Offset < 0 || llvm::any_of(S, [](int64_t Stride) { return Stride < 0; });
    int64_t Size = tensorType(Operand).getNumElements();
    if (Negative || reach(Batch, Rows, Columns, S, Offset) > Size)
      return emitOpError("strides of ") << Name << " leave its " << Size << " elements";
    return success();
  };
  if (failed(CheckReach("a", getA(), getAStrides(), M, K, getAOffset())) ||
      failed(CheckReach("b", getB(), getBStrides(), K, N, getBOffset())) ||
      failed(CheckReach("the result", getResult(), getCStrides(), M, N, 0)))
    return failure();
  if (getBias() && tensorType(getBias()).getNumElements() != N)
    return emitOpError("bias has ") << tensorType(getBias()).getNumElements() << " elements but n is " << N;
  if (getAddend() && tensorType(getAddend()).getNumElements() != getType().getNumElements())
    return emitOpError("addend must have the result's elements");
  if (getAccumulate() && !getAddend())
    return emitOpError("accumulates but has no addend");
  return success();
}
