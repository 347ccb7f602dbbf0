// SPDX-License-Identifier: Apache-2.0
//
// `x[...]` on lists, tuples, strings and tensors.
#include "compiler/elaborate/Evaluator.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::SmallVector;

FailureOr<Value> Evaluator::index(const Value &object, ArrayRef<Value> items, mlir::Location loc) {
  if (object.asTensor() || object.asWeight()) {
    auto tensor = toTensor(object, loc);
    if (failed(tensor))
      return failure();
    return indexTensor(*tensor, items, loc);
  }
  if (items.size() != 1)
    return fault(FaultKind::TypeMismatch, loc,
                 object.describe() + " has one axis but " + std::to_string(items.size()) +
                     " indices are given");
  if (auto *text = object.asString()) {
    std::vector<Value> letters;
    for (char c : *text)
      letters.push_back(Value(std::string(1, c)));
    auto chosen = indexSequence(letters, false, items[0], loc);
    if (failed(chosen) || !chosen->asSequence())
      return chosen;
    std::string joined;
    for (const Value &letter : *chosen->asSequence())
      joined += *letter.asString();
    return Value(joined);
  }
  auto all = elements(object, loc);
  if (failed(all))
    return failure();
  return indexSequence(*all, object.isTuple(), items[0], loc);
}

/// Python's rules for a slice: [start, stop) clamped, `step` above zero.
static std::pair<int64_t, int64_t> clampSlice(const SliceValue &slice, int64_t size) {
  auto clamp = [&](int64_t v) {
    return std::min(std::max(v < 0 ? v + size : v, int64_t(0)), size);
  };
  int64_t start = slice.start ? clamp(*slice.start) : 0,
          stop = slice.stop ? clamp(*slice.stop) : size;
  return {start, std::max(start, stop)};
}

FailureOr<Value> Evaluator::indexSequence(const std::vector<Value> &items, bool tuple,
                                          const Value &index, mlir::Location loc) {
  int64_t size = items.size();
  if (auto *slice = index.asSlice()) {
    int64_t step = slice->step.value_or(1);
    if (step < 1)
      return fault(FaultKind::BadValue, loc, "the step of a slice must be at least 1");
    auto [start, stop] = clampSlice(*slice, size);
    std::vector<Value> chosen;
    for (int64_t i = start; i < stop; i += step)
      chosen.push_back(items[i]);
    return tuple ? Value::tuple(std::move(chosen)) : Value::list(std::move(chosen));
  }
  auto i = integer(index, "an index", loc);
  if (failed(i))
    return failure();
  if (*i < -size || *i >= size)
    return fault(FaultKind::IndexOutOfRange, loc,
                 "index " + std::to_string(*i) + " is outside a sequence of " +
                     std::to_string(size));
  return items[*i < 0 ? *i + size : *i];
}

FailureOr<Value> Evaluator::indexTensor(const Tensor &x, ArrayRef<Value> items,
                                        mlir::Location loc) {
  GraphBuilder &g = function->graph;
  int64_t named =
      llvm::count_if(items, [](const Value &v) { return !v.isEllipsis() && !v.isNone(); });
  if (llvm::count_if(items, [](const Value &v) { return v.isEllipsis(); }) > 1)
    return fault(FaultKind::BadValue, loc, "`..` stands twice in one index");
  if (named > x.rank())
    return fault(FaultKind::ShapeMismatch, loc,
                 formatType(x.type()) + " has " + std::to_string(x.rank()) + " axes but " +
                     std::to_string(named) + " indices are given");
  SmallVector<int64_t> offsets, sizes, strides, shape;
  SmallVector<DimOrigin> origins;
  auto keep = [&](int64_t axis, int64_t start, int64_t size, int64_t step) {
    offsets.push_back(start);
    sizes.push_back(size);
    strides.push_back(step);
    shape.push_back(size);
    origins.push_back(size == x.dim(axis) ? x.origins[axis] : g.here());
  };
  for (const Value &item : items) {
    int64_t axis = offsets.size();
    if (item.isNone()) {
      shape.push_back(1);
      origins.push_back(g.here());
    } else if (item.isEllipsis()) {
      for (int64_t skipped = x.rank() - named; skipped > 0; --skipped)
        keep(offsets.size(), 0, x.dim(offsets.size()), 1);
    } else if (auto *slice = item.asSlice()) {
      int64_t step = slice->step.value_or(1);
      auto [start, stop] = clampSlice(*slice, x.dim(axis));
      if (step < 1 || stop == start)
        return fault(FaultKind::ShapeMismatch, loc,
                     "the slice of axis " + std::to_string(axis) + " of " + formatType(x.type()) +
                         " is empty");
      keep(axis, start, (stop - start + step - 1) / step, step);
    } else {
      auto i = integer(item, "an index of a tensor", loc);
      if (failed(i))
        return failure();
      if (*i < -x.dim(axis) || *i >= x.dim(axis))
        return fault(FaultKind::IndexOutOfRange, loc,
                     "index " + std::to_string(*i) + " is outside axis " + std::to_string(axis) +
                         " of " + formatType(x.type()))
            .note(x.origins[axis].loc, describeOrigin(x.origins[axis], x.dim(axis)));
      offsets.push_back(*i < 0 ? *i + x.dim(axis) : *i);
      sizes.push_back(1);
      strides.push_back(1);
    }
  }
  while (static_cast<int64_t>(offsets.size()) < x.rank())
    keep(offsets.size(), 0, x.dim(offsets.size()), 1);
  auto sliced = g.slice(x, offsets, sizes, strides);
  if (failed(sliced))
    return failure();
  if (sliced->type().getShape() == ArrayRef<int64_t>(shape))
    return Value(*sliced);
  auto reshaped = g.reshape(*sliced, shape);
  if (failed(reshaped))
    return failure();
  return Value(g.wrap(reshaped->value, origins));
}

} // namespace vcc::elaborate
