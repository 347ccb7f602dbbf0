// SPDX-License-Identifier: Apache-2.0
//
// Shape rules of the language's tensor operations and the graph operations that they become.
#include "compiler/elaborate/GraphBuilder.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallSet.h"

#include <numeric>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::LogicalResult;
using llvm::SmallVector;
using llvm::success;

std::string describeOrigin(const DimOrigin &origin, int64_t size) {
  std::string subject = origin.what ? origin.what.getValue().str() : "the size";
  return subject + " is " + std::to_string(size) + " here";
}

Tensor GraphBuilder::wrap(mlir::Value value) const {
  Tensor tensor{value, {}};
  tensor.origins.assign(tensor.rank(), here());
  return tensor;
}

Tensor GraphBuilder::wrap(mlir::Value value, ArrayRef<DimOrigin> origins) const {
  Tensor tensor{value, {}};
  tensor.origins.assign(origins.begin(), origins.end());
  assert(tensor.origins.size() == static_cast<size_t>(tensor.rank()));
  return tensor;
}

Fault GraphBuilder::mismatch(std::string message, const Tensor &a, int64_t axisA, const Tensor &b,
                             int64_t axisB) const {
  return fault(FaultKind::ShapeMismatch, std::move(message))
      .note(a.origins[axisA].loc, describeOrigin(a.origins[axisA], a.dim(axisA)))
      .note(b.origins[axisB].loc, describeOrigin(b.origins[axisB], b.dim(axisB)));
}

LogicalResult GraphBuilder::requireFloat(const Tensor &x, StringRef what) {
  if (llvm::isa<mlir::FloatType>(x.element()))
    return success();
  return fault(FaultKind::TypeMismatch,
               (what + " needs a float tensor but gets " + formatType(x.type())).str())
      .help("write `cast(x, f32)`");
}

LogicalResult GraphBuilder::requireInt(const Tensor &x, StringRef what) {
  if (x.element().isInteger(32))
    return success();
  return fault(FaultKind::TypeMismatch,
               (what + " needs an i32 tensor but gets " + formatType(x.type())).str())
      .help("write `cast(x, i32)`");
}

FailureOr<int64_t> GraphBuilder::axis(int64_t axis, int64_t rank) {
  if (axis >= -rank && axis < rank)
    return axis < 0 ? axis + rank : axis;
  return fault(FaultKind::ShapeMismatch, "axis " + std::to_string(axis) +
                                             " is outside a tensor of rank " +
                                             std::to_string(rank));
}

Tensor GraphBuilder::splat(double value, mlir::Type element, ArrayRef<int64_t> shape) {
  auto type = mlir::RankedTensorType::get(shape, element);
  mlir::Attribute scalar;
  if (llvm::isa<mlir::FloatType>(element))
    scalar = mlir::FloatAttr::get(element, value);
  else
    scalar = mlir::IntegerAttr::get(element, static_cast<int64_t>(value));
  return wrap(
      ops.create<tg::ConstantOp>(loc, mlir::DenseElementsAttr::get(type, scalar)).getResult());
}

FailureOr<Tensor> GraphBuilder::broadcast(const Tensor &x, ArrayRef<int64_t> shape,
                                          ArrayRef<DimOrigin> origins) {
  if (x.type().getShape() == shape)
    return x;
  auto constant = x.value.getDefiningOp<tg::ConstantOp>();
  if (constant && x.rank() == 0)
    if (auto elements = llvm::dyn_cast<mlir::DenseElementsAttr>(constant.getValue())) {
      auto type = mlir::RankedTensorType::get(shape, x.element());
      auto splat = mlir::DenseElementsAttr::get(type, elements.getSplatValue<mlir::Attribute>());
      return wrap(ops.create<tg::ConstantOp>(loc, splat).getResult(), origins);
    }
  int64_t lead = static_cast<int64_t>(shape.size()) - x.rank();
  if (lead < 0)
    return fault(FaultKind::ShapeMismatch,
                 formatType(x.type()) + " does not broadcast to " + formatShape(shape));
  SmallVector<int64_t> squeezed, axes;
  SmallVector<DimOrigin> kept;
  for (int64_t i = 0; i < x.rank(); ++i) {
    int64_t size = x.dim(i), target = shape[lead + i];
    if (size == 1 && target != 1)
      continue;
    if (size != target)
      return fault(FaultKind::ShapeMismatch,
                   formatType(x.type()) + " does not broadcast to " + formatShape(shape))
          .note(x.origins[i].loc, describeOrigin(x.origins[i], size))
          .note(origins[lead + i].loc, describeOrigin(origins[lead + i], target));
    squeezed.push_back(size);
    axes.push_back(lead + i);
  }
  mlir::Value value = x.value;
  if (squeezed.size() != static_cast<size_t>(x.rank()))
    value =
        ops.create<tg::ReshapeOp>(loc, mlir::RankedTensorType::get(squeezed, x.element()), value);
  if (ArrayRef<int64_t>(squeezed) != shape)
    value = ops.create<tg::BroadcastOp>(loc, mlir::RankedTensorType::get(shape, x.element()), value,
                                        ops.getDenseI64ArrayAttr(axes));
  return wrap(value, origins);
}

FailureOr<std::pair<Tensor, Tensor>> GraphBuilder::broadcastTogether(const Tensor &a,
                                                                     const Tensor &b) {
  if (a.type().getShape() == b.type().getShape())
    return std::make_pair(a, b);
  int64_t rank = std::max(a.rank(), b.rank());
  SmallVector<int64_t> shape(rank);
  SmallVector<DimOrigin> origins(rank, here());
  for (int64_t i = 0; i < rank; ++i) {
    int64_t ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    int64_t da = ia < 0 ? 1 : a.dim(ia), db = ib < 0 ? 1 : b.dim(ib);
    if (da != db && da != 1 && db != 1)
      return mismatch("shapes " + formatShape(a.type().getShape()) + " and " +
                          formatShape(b.type().getShape()) + " do not go together: axis " +
                          std::to_string(i - rank) + " is " + std::to_string(da) + " and " +
                          std::to_string(db),
                      a, ia, b, ib);
    bool fromA = ia >= 0 && (ib < 0 || db == 1);
    shape[i] = fromA ? da : db;
    origins[i] = fromA ? a.origins[ia] : b.origins[ib];
  }
  auto left = broadcast(a, shape, origins);
  auto right = broadcast(b, shape, origins);
  if (failed(left) || failed(right))
    return failure();
  return std::make_pair(*left, *right);
}

FailureOr<Tensor> GraphBuilder::reshape(const Tensor &x, ArrayRef<int64_t> wanted) {
  SmallVector<int64_t> shape(wanted);
  int64_t known = 1, unknown = -1;
  for (auto [i, size] : llvm::enumerate(shape)) {
    if (size == -1 && unknown < 0) {
      unknown = i;
    } else if (size < 0 || __builtin_mul_overflow(known, size, &known)) {
      return fault(FaultKind::ShapeMismatch, formatShape(wanted) + " is not a shape");
    }
  }
  int64_t elements = x.type().getNumElements();
  if (unknown >= 0 && known > 0 && elements % known == 0)
    shape[unknown] = elements / known;
  else if (unknown >= 0 || known != elements) {
    FaultRecord record{FaultKind::ShapeMismatch,
                       loc,
                       formatType(x.type()) + " holds " + std::to_string(elements) +
                           " elements, which do not fit " + formatShape(wanted),
                       "",
                       {},
                       ""};
    for (int64_t i = 0; i < x.rank(); ++i)
      if (x.origins[i].what)
        record.notes.push_back({x.origins[i].loc, describeOrigin(x.origins[i], x.dim(i))});
    faults.report(std::move(record));
    return failure();
  }
  if (x.type().getShape() == ArrayRef<int64_t>(shape))
    return x;
  return wrap(
      ops.create<tg::ReshapeOp>(loc, mlir::RankedTensorType::get(shape, x.element()), x.value));
}

FailureOr<Tensor> GraphBuilder::transpose(const Tensor &x, ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> order, shape;
  SmallVector<DimOrigin> origins;
  llvm::SmallSet<int64_t, 8> seen;
  for (int64_t p : permutation) {
    auto from = axis(p, x.rank());
    if (failed(from))
      return failure();
    order.push_back(*from);
    seen.insert(*from);
  }
  if (order.size() != static_cast<size_t>(x.rank()) || seen.size() != order.size())
    return fault(FaultKind::ShapeMismatch, formatShape(permutation) +
                                               " does not name every axis of " +
                                               formatType(x.type()) + " once");
  for (int64_t from : order) {
    shape.push_back(x.dim(from));
    origins.push_back(x.origins[from]);
  }
  auto type = mlir::RankedTensorType::get(shape, x.element());
  return wrap(ops.create<tg::TransposeOp>(loc, type, x.value, ops.getDenseI64ArrayAttr(order)),
              origins);
}

FailureOr<Tensor> GraphBuilder::slice(const Tensor &x, ArrayRef<int64_t> offsets,
                                      ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides) {
  if (sizes == x.type().getShape() && llvm::all_of(strides, [](int64_t s) { return s == 1; }))
    return x;
  SmallVector<DimOrigin> origins;
  for (int64_t i = 0; i < x.rank(); ++i)
    origins.push_back(sizes[i] == x.dim(i) ? x.origins[i] : here());
  auto type = mlir::RankedTensorType::get(sizes, x.element());
  return wrap(ops.create<tg::SliceOp>(loc, type, x.value, ops.getDenseI64ArrayAttr(offsets),
                                      ops.getDenseI64ArrayAttr(sizes),
                                      ops.getDenseI64ArrayAttr(strides)),
              origins);
}

FailureOr<Tensor> GraphBuilder::concat(ArrayRef<Tensor> xs, int64_t along) {
  if (xs.empty())
    return fault(FaultKind::BadValue, "`concat` needs at least one tensor");
  auto place = axis(along, xs[0].rank());
  if (failed(place))
    return failure();
  if (xs.size() == 1)
    return xs[0];
  SmallVector<int64_t> shape(xs[0].type().getShape());
  SmallVector<DimOrigin, 4> origins(xs[0].origins);
  SmallVector<mlir::Value> values{xs[0].value};
  for (const Tensor &x : xs.drop_front()) {
    if (x.rank() != xs[0].rank() || x.element() != xs[0].element())
      return fault(FaultKind::ShapeMismatch,
                   "`concat` of " + formatType(xs[0].type()) + " and " + formatType(x.type()));
    for (int64_t i = 0; i < x.rank(); ++i)
      if (i != *place && x.dim(i) != xs[0].dim(i))
        return mismatch("`concat` of " + formatType(xs[0].type()) + " and " + formatType(x.type()) +
                            " along axis " + std::to_string(*place) + ": axis " +
                            std::to_string(i) + " differs",
                        xs[0], i, x, i);
    shape[*place] += x.dim(*place);
    values.push_back(x.value);
  }
  origins[*place] = here();
  auto type = mlir::RankedTensorType::get(shape, xs[0].element());
  return wrap(ops.create<tg::ConcatOp>(loc, type, values, static_cast<uint64_t>(*place)), origins);
}

FailureOr<Tensor> GraphBuilder::pad(const Tensor &x, int64_t along, int64_t before, int64_t after,
                                    double value) {
  auto place = axis(along, x.rank());
  if (failed(place))
    return failure();
  if (before < 0 || after < 0)
    return fault(FaultKind::BadValue, "`pad` by a negative count");
  SmallVector<int64_t> low(x.rank(), 0), high(x.rank(), 0), shape(x.type().getShape());
  low[*place] = before;
  high[*place] = after;
  shape[*place] += before + after;
  SmallVector<DimOrigin, 4> origins(x.origins);
  origins[*place] = here();
  auto type = mlir::RankedTensorType::get(shape, x.element());
  return wrap(ops.create<tg::PadOp>(loc, type, x.value, ops.getDenseI64ArrayAttr(low),
                                    ops.getDenseI64ArrayAttr(high), ops.getF64FloatAttr(value)),
              origins);
}

FailureOr<Tensor> GraphBuilder::reduce(tg::ReduceKind kind, const Tensor &x, ArrayRef<int64_t> over,
                                       bool keep) {
  if (x.element().isInteger(1))
    return fault(FaultKind::TypeMismatch, "a bool tensor cannot be reduced")
        .help("write `cast(x, f32)`");
  SmallVector<int64_t> axes;
  for (int64_t a : over) {
    auto place = axis(a, x.rank());
    if (failed(place))
      return failure();
    axes.push_back(*place);
  }
  llvm::sort(axes);
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  SmallVector<int64_t> shape, keptShape;
  SmallVector<DimOrigin> origins, keptOrigins;
  for (int64_t i = 0; i < x.rank(); ++i) {
    bool gone = llvm::is_contained(axes, i);
    if (gone && x.dim(i) == 0)
      return fault(FaultKind::ShapeMismatch,
                   "axis " + std::to_string(i) + " of " + formatType(x.type()) + " is empty");
    keptShape.push_back(gone ? 1 : x.dim(i));
    keptOrigins.push_back(gone ? here() : x.origins[i]);
    if (!gone) {
      shape.push_back(x.dim(i));
      origins.push_back(x.origins[i]);
    }
  }
  mlir::Value value = x.value;
  if (!axes.empty())
    value = ops.create<tg::ReduceOp>(loc, mlir::RankedTensorType::get(shape, x.element()), value,
                                     kind, ops.getDenseI64ArrayAttr(axes));
  if (!keep)
    return wrap(value, origins);
  if (!axes.empty())
    value =
        ops.create<tg::ReshapeOp>(loc, mlir::RankedTensorType::get(keptShape, x.element()), value);
  return wrap(value, keptOrigins);
}

FailureOr<Tensor> GraphBuilder::mean(const Tensor &x, ArrayRef<int64_t> axes, bool keep) {
  if (failed(requireFloat(x, "`mean`")))
    return failure();
  auto total = reduce(tg::ReduceKind::Sum, x, axes, keep);
  if (failed(total))
    return failure();
  double count = static_cast<double>(x.type().getNumElements()) /
                 std::max<int64_t>(1, total->type().getNumElements());
  Tensor factor = splat(1.0 / count, x.element(), total->type().getShape());
  return wrap(ops.create<tg::MulOp>(loc, total->value, factor.value), total->origins);
}

FailureOr<Tensor> GraphBuilder::cast(const Tensor &x, mlir::Type element) {
  if (x.element() == element)
    return x;
  return wrap(ops.create<tg::CastOp>(loc, mlir::RankedTensorType::get(x.type().getShape(), element),
                                     x.value),
              x.origins);
}

static mlir::Value dot(GraphBuilder &g, const Tensor &a, const Tensor &b, ArrayRef<int64_t> batchA,
                       ArrayRef<int64_t> batchB, int64_t contractA, int64_t contractB,
                       llvm::SmallVectorImpl<DimOrigin> &origins) {
  SmallVector<int64_t> shape;
  auto take = [&](const Tensor &x, int64_t i) {
    shape.push_back(x.dim(i));
    origins.push_back(x.origins[i]);
  };
  for (int64_t i : batchA)
    take(a, i);
  for (int64_t i = 0; i < a.rank(); ++i)
    if (i != contractA && !llvm::is_contained(batchA, i))
      take(a, i);
  for (int64_t i = 0; i < b.rank(); ++i)
    if (i != contractB && !llvm::is_contained(batchB, i))
      take(b, i);
  auto attr = [&](ArrayRef<int64_t> axes) { return g.ops.getDenseI64ArrayAttr(axes); };
  return g.ops.create<tg::DotGeneralOp>(g.loc, mlir::RankedTensorType::get(shape, a.element()),
                                        a.value, b.value, attr(batchA), attr(batchB),
                                        attr({contractA}), attr({contractB}));
}

FailureOr<Tensor> GraphBuilder::matmul(const Tensor &a, const Tensor &b) {
  if (failed(requireFloat(a, "`matmul`")) || failed(requireFloat(b, "`matmul`")))
    return failure();
  if (a.rank() < 1 || b.rank() < 2)
    return fault(FaultKind::ShapeMismatch,
                 "`matmul` of " + formatType(a.type()) + " and " + formatType(b.type()));
  int64_t inner = a.rank() - 1, outer = b.rank() - 2;
  if (a.dim(inner) != b.dim(outer))
    return mismatch("`matmul` of " + formatType(a.type()) + " and " + formatType(b.type()) +
                        ": the last axis of the first is " + std::to_string(a.dim(inner)) +
                        ", the second expects " + std::to_string(b.dim(outer)),
                    a, inner, b, outer);
  SmallVector<int64_t> batch;
  if (b.rank() > 2) {
    if (a.rank() != b.rank())
      return fault(FaultKind::ShapeMismatch, "batched `matmul` of " + formatType(a.type()) +
                                                 " and " + formatType(b.type()) +
                                                 " needs equal leading axes");
    for (int64_t i = 0; i < b.rank() - 2; ++i) {
      if (a.dim(i) != b.dim(i))
        return mismatch("batched `matmul` of " + formatType(a.type()) + " and " +
                            formatType(b.type()) + ": axis " + std::to_string(i) + " differs",
                        a, i, b, i);
      batch.push_back(i);
    }
  }
  SmallVector<DimOrigin> origins;
  mlir::Value value = dot(*this, a, b, batch, batch, inner, outer, origins);
  return wrap(value, origins);
}

FailureOr<Tensor> GraphBuilder::linear(const Tensor &x, const Tensor &weight) {
  if (failed(requireFloat(x, "`linear`")) || failed(requireFloat(weight, "`linear`")))
    return failure();
  if (x.rank() < 1 || weight.rank() != 2)
    return fault(FaultKind::ShapeMismatch, "`linear` of " + formatType(x.type()) + " with weight " +
                                               formatType(weight.type()));
  int64_t inner = x.rank() - 1;
  if (x.dim(inner) != weight.dim(1))
    return mismatch("the last axis of " + formatType(x.type()) + " is " +
                        std::to_string(x.dim(inner)) + " but the weight " +
                        formatShape(weight.type().getShape()) + " expects " +
                        std::to_string(weight.dim(1)),
                    x, inner, weight, 1);
  SmallVector<DimOrigin> origins;
  mlir::Value value = dot(*this, x, weight, {}, {}, inner, 1, origins);
  return wrap(value, origins);
}

FailureOr<Tensor> GraphBuilder::gather(const Tensor &table, const Tensor &ids) {
  if (failed(requireInt(ids, "`gather`")))
    return failure();
  if (table.rank() < 1)
    return fault(FaultKind::ShapeMismatch, "`gather` from a scalar");
  SmallVector<int64_t> shape(ids.type().getShape());
  SmallVector<DimOrigin, 4> origins(ids.origins);
  for (int64_t i = 1; i < table.rank(); ++i) {
    shape.push_back(table.dim(i));
    origins.push_back(table.origins[i]);
  }
  auto type = mlir::RankedTensorType::get(shape, table.element());
  return wrap(ops.create<tg::GatherOp>(loc, type, table.value, ids.value), origins);
}

FailureOr<Tensor> GraphBuilder::allGather(const Tensor &x, int64_t ranks) {
  if (x.rank() < 1)
    return fault(FaultKind::ShapeMismatch, "`all_gather` of a scalar: ranks are joined along axis 0");
  SmallVector<int64_t> shape(x.type().getShape());
  shape[0] *= ranks;
  SmallVector<DimOrigin, 4> origins(x.origins);
  if (ranks > 1)
    origins[0] = here();
  auto type = mlir::RankedTensorType::get(shape, x.element());
  return wrap(ops.create<tg::AllGatherOp>(loc, type, x.value, ranks), origins);
}

FailureOr<Tensor> GraphBuilder::scatterAdd(int64_t rows, const Tensor &ids, const Tensor &updates) {
  if (failed(requireInt(ids, "`scatter_add`")))
    return failure();
  if (updates.rank() < ids.rank() ||
      updates.type().getShape().take_front(ids.rank()) != ids.type().getShape())
    return fault(FaultKind::ShapeMismatch, "`scatter_add` of " + formatType(updates.type()) +
                                               " at " + formatType(ids.type()) +
                                               ": the leading axes must be equal");
  SmallVector<int64_t> shape{rows};
  SmallVector<DimOrigin> origins{here()};
  for (int64_t i = ids.rank(); i < updates.rank(); ++i) {
    shape.push_back(updates.dim(i));
    origins.push_back(updates.origins[i]);
  }
  auto type = mlir::RankedTensorType::get(shape, updates.element());
  return wrap(ops.create<tg::ScatterAddOp>(loc, type, ids.value, updates.value,
                                           static_cast<uint64_t>(rows)),
              origins);
}

FailureOr<Tensor> GraphBuilder::select(const Tensor &condition, const Tensor &a, const Tensor &b) {
  if (!condition.element().isInteger(1))
    return fault(FaultKind::TypeMismatch,
                 "`select` needs a bool tensor as its condition but gets " +
                     formatType(condition.type()));
  if (a.element() != b.element())
    return fault(FaultKind::TypeMismatch,
                 "`select` between " + formatType(a.type()) + " and " + formatType(b.type()));
  auto values = broadcastTogether(a, b);
  if (failed(values))
    return failure();
  auto first = broadcastTogether(condition, values->first);
  if (failed(first))
    return failure();
  auto second = broadcast(values->second, first->second.type().getShape(), first->second.origins);
  if (failed(second))
    return failure();
  return wrap(ops.create<tg::SelectOp>(loc, first->first.value, first->second.value, second->value),
              first->second.origins);
}

} // namespace vcc::elaborate
