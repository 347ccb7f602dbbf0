// SPDX-License-Identifier: Apache-2.0
//
// Contraction family: each operand's cotangent is the product of the result's cotangent with the other operand over the
// other's free axes, its axes then put back in place.
#include "dialects/tg/Build.h"

#include <numeric>

using namespace mlir;
using namespace vcc::tg;

namespace {

struct Side {
  Value Operand;
  ArrayRef<int64_t> Batch, Contract;
  SmallVector<int64_t> Free;
  int64_t FreeStart; // the place of its first free axis in the result

  Side(Value Operand, ArrayRef<int64_t> Batch, ArrayRef<int64_t> Contract, int64_t FreeStart)
      : Operand(Operand), Batch(Batch), Contract(Contract), FreeStart(FreeStart) {
    SmallVector<int64_t> Named(Batch);
    llvm::append_range(Named, Contract);
    Free = otherAxes(tensorType(Operand).getRank(), Named);
  }
};

SmallVector<int64_t> consecutive(int64_t Start, size_t Count) {
  SmallVector<int64_t> Axes(Count);
  std::iota(Axes.begin(), Axes.end(), Start);
  return Axes;
}

Value cotangentOf(OpBuilder &B, Location Loc, Value G, const Side &Mine, const Side &Other) {
  // Sums kept wider than the operands: their cotangent is rounded to what a product takes.
  auto Narrow = tensorType(G).clone(tensorType(Mine.Operand).getElementType());
  if (G.getType() != Narrow)
    G = B.create<CastOp>(Loc, Narrow, G);
  // [batch, my free, the other's contracted axes in increasing order]
  Value Product = B.create<DotGeneralOp>(Loc, G, Other.Operand, consecutive(0, Mine.Batch.size()), Other.Batch,
                                         consecutive(Other.FreeStart, Other.Free.size()), Other.Free);
  SmallVector<int64_t> Order(Other.Contract);
  llvm::sort(Order);
  SmallVector<int64_t> Place(tensorType(Mine.Operand).getRank());
  int64_t Next = 0;
  for (int64_t Axis : Mine.Batch)
    Place[Axis] = Next++;
  for (int64_t Axis : Mine.Free)
    Place[Axis] = Next++;
  for (int64_t Axis : Order) {
    size_t Pair = llvm::find(Other.Contract, Axis) - Other.Contract.begin();
    Place[Mine.Contract[Pair]] = Next++;
  }
  return llvm::is_sorted(Place) ? Product : B.create<TransposeOp>(Loc, Product, Place).getResult();
}

} // namespace

LogicalResult DotGeneralOp::gradient(OpBuilder &B, ArrayRef<Value> Cotangents, ArrayRef<bool> Needed,
                                     SmallVectorImpl<Value> &Out) {
  Side Left(getA(), getBatchA(), getContractA(), static_cast<int64_t>(getBatchA().size()));
  Side Right(getB(), getBatchB(), getContractB(), Left.FreeStart + static_cast<int64_t>(Left.Free.size()));
  if (Needed[0])
    Out[0] = cotangentOf(B, getLoc(), Cotangents[0], Left, Right);
  if (Needed[1])
    Out[1] = cotangentOf(B, getLoc(), Cotangents[0], Right, Left);
  return success();
}
