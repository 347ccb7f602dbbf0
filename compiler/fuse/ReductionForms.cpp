// SPDX-License-Identifier: Apache-2.0
//
// Any reduction by the three forms. The shape is taken without unit axes and with neighbouring axes of one fate merged;
// then the runs of reduced axes are taken one by one, the last run first.
#include "compiler/fuse/ReductionForms.h"
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

ReductionForm fuse::reductionForm(tg::ReduceOp op) {
  auto type = tg::tensorType(op.getX());
  if (op.getAxes().size() != 1)
    return ReductionForm::Other;
  int64_t axis = op.getAxes()[0], size = type.getShape()[axis];
  bool sum = op.getKind() == tg::ReduceKind::Sum && isa<FloatType>(type.getElementType());
  if (size == 1)
    return ReductionForm::Other;
  if (type.getRank() == 1)
    return sum ? ReductionForm::Total : ReductionForm::Row;
  if (axis == type.getRank() - 1)
    return ReductionForm::Row;
  return sum && axis == 0 && type.getRank() == 2 && type.getShape()[1] > 1 ? ReductionForm::Column
                                                                          : ReductionForm::Other;
}

bool fuse::isKernelReduction(tg::ReduceOp op) { return reductionForm(op) != ReductionForm::Other; }

namespace {

struct Runs {
  SmallVector<int64_t> sizes;
  SmallVector<bool> reduced;
};

Runs mergedRuns(tg::ReduceOp op) {
  Runs runs;
  for (auto [axis, size] : llvm::enumerate(tg::tensorType(op.getX()).getShape())) {
    if (size == 1)
      continue;
    bool reduced = llvm::is_contained(op.getAxes(), static_cast<int64_t>(axis));
    if (!runs.sizes.empty() && runs.reduced.back() == reduced) {
      runs.sizes.back() *= size;
    } else {
      runs.sizes.push_back(size);
      runs.reduced.push_back(reduced);
    }
  }
  return runs;
}

Value reshaped(OpBuilder &builder, Location loc, Value x, ArrayRef<int64_t> shape) {
  auto type = tg::tensorType(x);
  if (type.getShape() == shape)
    return x;
  return builder.create<tg::ReshapeOp>(loc, RankedTensorType::get(shape, type.getElementType()), x);
}

Value reducedAxis(OpBuilder &builder, tg::ReduceOp op, Value x, int64_t axis) {
  SmallVector<int64_t> shape(tg::tensorType(x).getShape());
  shape.erase(shape.begin() + axis);
  auto type = RankedTensorType::get(shape, tg::tensorType(x).getElementType());
  return builder.create<tg::ReduceOp>(op.getLoc(), type, x, op.getKind(), ArrayRef<int64_t>{axis});
}

/// Reduces axis `axis` of x, which is not the last one.
Value reducedInner(OpBuilder &builder, tg::ReduceOp op, Value x, int64_t axis) {
  auto type = tg::tensorType(x);
  bool sum = op.getKind() == tg::ReduceKind::Sum && isa<FloatType>(type.getElementType());
  if (sum && axis == 0) {
    int64_t rest = type.getNumElements() / type.getShape()[0];
    Value flat = reshaped(builder, op.getLoc(), x, {type.getShape()[0], rest});
    return reshaped(builder, op.getLoc(), reducedAxis(builder, op, flat, 0), type.getShape().drop_front());
  }
  SmallVector<int64_t> permutation, shape;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (i != axis)
      permutation.push_back(i);
  permutation.push_back(axis);
  for (int64_t i : permutation)
    shape.push_back(type.getShape()[i]);
  Value turned = builder.create<tg::TransposeOp>(op.getLoc(), RankedTensorType::get(shape, type.getElementType()), x,
                                                 permutation);
  return reducedAxis(builder, op, turned, type.getRank() - 1);
}

} // namespace

Value fuse::buildKernelReductions(OpBuilder &builder, tg::ReduceOp op) {
  Runs runs = mergedRuns(op);
  Value x = reshaped(builder, op.getLoc(), op.getX(), runs.sizes);
  for (int64_t axis = static_cast<int64_t>(runs.sizes.size()) - 1; axis >= 0; --axis) {
    if (!runs.reduced[axis])
      continue;
    bool last = axis == tg::tensorType(x).getRank() - 1;
    x = last ? reducedAxis(builder, op, x, axis) : reducedInner(builder, op, x, axis);
  }
  return reshaped(builder, op.getLoc(), x, tg::tensorType(op.getResult()).getShape());
}
