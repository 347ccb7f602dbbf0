// SPDX-License-Identifier: Apache-2.0
//
// Indexing family: inference and verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Indexing.cpp.inc"

LogicalResult IotaOp::verify() {
  auto Axis = static_cast<int64_t>(getAxis());
  if (Axis < 0 || Axis >= getType().getRank())
    return emitOpError("axis ") << Axis << " is not an axis of " << getType();
  return success();
}

LogicalResult GatherOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                         SmallVectorImpl<Type> &Types) {
  auto Table = dyn_cast<RankedTensorType>(Adaptor.getTable().getType());
  auto Ids = dyn_cast<RankedTensorType>(Adaptor.getIds().getType());
  if (!Table || !Ids || Table.getRank() == 0 || Table.getDimSize(0) == 0)
    return emitOptionalError(Loc, "'tg.gather' op needs a table with at least one row");
  SmallVector<int64_t> Shape(Ids.getShape());
  llvm::append_range(Shape, Table.getShape().drop_front());
  Types.push_back(Table.clone(Shape));
  return success();
}

LogicalResult ScatterAddOp::inferReturnTypes(MLIRContext *, std::optional<Location> Loc, Adaptor Adaptor,
                                             SmallVectorImpl<Type> &Types) {
  auto Ids = dyn_cast<RankedTensorType>(Adaptor.getIds().getType());
  auto Updates = dyn_cast<RankedTensorType>(Adaptor.getUpdates().getType());
  if (!Ids || !Updates || Updates.getShape().take_front(Ids.getRank()) != Ids.getShape())
    return emitOptionalError(Loc, "'tg.scatter_add' op updates must begin with the axes of the ids");
  auto Rows = static_cast<int64_t>(Adaptor.getRows());
  if (Rows < 1)
    return emitOptionalError(Loc, "'tg.scatter_add' op needs at least one row but has ", Rows);
  SmallVector<int64_t> Shape{Rows};
  llvm::append_range(Shape, Updates.getShape().drop_front(Ids.getRank()));
  Types.push_back(Updates.clone(Shape));
  return success();
}
