// SPDX-License-Identifier: Apache-2.0
#include "compiler/fuse/RowProducts.h"
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc;

bool fuse::multipliesRows(tg::DotGeneralOp dot, int64_t axis) {
  int64_t last = tg::tensorType(dot.getA()).getRank() - 1;
  return dot.getBatchA().empty() && tg::tensorType(dot.getB()).getRank() == 2 && dot.getContractA() == ArrayRef<int64_t>{last} &&
         dot.getContractB() == ArrayRef<int64_t>{axis};
}

Value fuse::multiplyRows(OpBuilder &builder, Location loc, Type element, Value rows, Value matrix, int64_t axis) {
  SmallVector<int64_t> shape(tg::tensorType(rows).getShape());
  int64_t last = static_cast<int64_t>(shape.size()) - 1;
  shape[last] = tg::tensorType(matrix).getDimSize(1 - axis);
  return builder.create<tg::DotGeneralOp>(loc, RankedTensorType::get(shape, element), rows, matrix, ArrayRef<int64_t>(), ArrayRef<int64_t>(),
                                          ArrayRef<int64_t>{last}, ArrayRef<int64_t>{axis});
}

Value fuse::unrounded(Value value) {
  auto cast = value.getDefiningOp<tg::CastOp>();
  auto isFloat = [](Value x) { return isa<FloatType>(tg::tensorType(x).getElementType()); };
  return cast && isFloat(value) && isFloat(cast.getX()) ? cast.getX() : Value();
}

StringRef fuse::stateBehind(Value value) {
  if (Value before = unrounded(value))
    value = before;
  auto read = value.getDefiningOp<tg::ReadOp>();
  return read ? read.getState() : StringRef();
}
