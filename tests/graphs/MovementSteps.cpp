// SPDX-License-Identifier: Apache-2.0
//
// Steps of a random graph that move elements: shapes, parts, rows by number, sources.
#include "tests/graphs/GraphMaker.h"

#include <algorithm>
#include <numeric>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

static constexpr int64_t MostElements = 3000;

Value GraphMaker::turned(Value x, ArrayRef<int64_t> permutation) {
  Sizes shape;
  for (int64_t axis : permutation)
    shape.push_back(shapeOf(x)[axis]);
  return make<tg::TransposeOp>(RankedTensorType::get(shape, getElementTypeOrSelf(x)), x, permutation);
}

Value GraphMaker::part(Value x, ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides) {
  return make<tg::SliceOp>(RankedTensorType::get(sizes, getElementTypeOrSelf(x)), x, offsets, sizes, strides);
}

void GraphMaker::broadcast() {
  Value x = take([&](Value value) { return rankOf(value) < 5 && tg::tensorType(value).getNumElements() < 1000; });
  auto type = tg::tensorType(x);
  Sizes shape, axes;
  int64_t repeated = 1;
  for (int64_t axis = 0; axis <= type.getRank(); ++axis) {
    while (oneIn(3) && shape.size() + type.getRank() - axis < 5) {
      shape.push_back(size());
      repeated *= shape.back();
    }
    if (axis == type.getRank())
      break;
    axes.push_back(static_cast<int64_t>(shape.size()));
    bool stretched = type.getDimSize(axis) == 1 && oneIn(2);
    shape.push_back(stretched ? size() : type.getDimSize(axis));
    repeated *= stretched ? shape.back() : 1;
  }
  refuse(repeated * type.getNumElements() > MostElements || ArrayRef<int64_t>(shape) == type.getShape());
  offer(make<tg::BroadcastOp>(RankedTensorType::get(shape, type.getElementType()), x, axes));
}

void GraphMaker::reshape() {
  Value x = take([](Value) { return true; });
  auto type = tg::tensorType(x);
  Sizes shape(type.getShape());
  for (int64_t changes = between(1, 3); changes > 0; --changes) {
    size_t place = shape.empty() ? 0 : random() % shape.size();
    if (oneIn(4) && shape.size() < 5) {
      shape.insert(shape.begin() + static_cast<int64_t>(place), 1);
    } else if (place + 1 < shape.size() && oneIn(2)) {
      shape[place] *= shape[place + 1];
      shape.erase(shape.begin() + static_cast<int64_t>(place) + 1);
    } else if (!shape.empty() && shape.size() < 5) {
      for (int64_t factor = between(2, 5); factor > 1; --factor)
        if (shape[place] % factor == 0) {
          shape[place] /= factor;
          shape.insert(shape.begin() + static_cast<int64_t>(place) + static_cast<int64_t>(oneIn(2)), factor);
          break;
        }
    }
    if (oneIn(4))
      llvm::erase(shape, 1);
  }
  refuse(ArrayRef<int64_t>(shape) == type.getShape());
  offer(make<tg::ReshapeOp>(RankedTensorType::get(shape, type.getElementType()), x));
}

void GraphMaker::transpose() {
  Value x = take([](Value value) { return rankOf(value) >= 2; });
  Sizes permutation(rankOf(x));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::shuffle(permutation.begin(), permutation.end(), random);
  offer(turned(x, permutation));
}

void GraphMaker::slice() {
  Value x = take([](Value value) { return rankOf(value) >= 1; });
  do {
    Sizes offsets, sizes, strides;
    for (int64_t size : shapeOf(x)) {
      offsets.push_back(oneIn(2) ? 0 : between(0, size - 1));
      strides.push_back(oneIn(4) ? between(2, 3) : 1);
      int64_t most = (size - 1 - offsets.back()) / strides.back() + 1;
      sizes.push_back(oneIn(2) ? most : between(1, most));
    }
    x = part(x, offsets, sizes, strides);
  } while (oneIn(4));
  offer(x);
}

void GraphMaker::concat() {
  Value x = take([](Value value) { return rankOf(value) >= 1 && tg::tensorType(value).getNumElements() < 1500; });
  auto type = tg::tensorType(x);
  int64_t axis = between(0, type.getRank() - 1), total = type.getDimSize(axis);
  SmallVector<Value> parts{x};
  while (parts.size() < 2 || (oneIn(3) && parts.size() < 4)) {
    Sizes shape(type.getShape());
    if (oneIn(2))
      shape[axis] = size();
    refuse(tg::elementCount(shape) > MostElements);
    parts.push_back(oneIn(5) ? x : takeLike(RankedTensorType::get(shape, type.getElementType())));
    if (oneIn(4)) { // a concatenation of concatenations
      Sizes twice(shapeOf(parts.back()));
      twice[axis] *= 2;
      refuse(tg::elementCount(twice) > MostElements);
      SmallVector<Value> pair{parts.back(), takeLike(parts.back().getType())};
      parts.back() = make<tg::ConcatOp>(RankedTensorType::get(twice, type.getElementType()), pair, axis);
    }
    total += shapeOf(parts.back())[axis];
  }
  Sizes shape(type.getShape());
  shape[axis] = total;
  offer(make<tg::ConcatOp>(RankedTensorType::get(shape, type.getElementType()), parts, axis));
}

void GraphMaker::pad() {
  Value x = takeFloat(1, 1500);
  Sizes low, high, shape;
  for (int64_t size : shapeOf(x)) {
    low.push_back(oneIn(2) ? 0 : between(0, 2));
    high.push_back(oneIn(2) ? 0 : between(0, 2));
    shape.push_back(low.back() + size + high.back());
  }
  refuse(ArrayRef<int64_t>(shape) == shapeOf(x) || tg::elementCount(shape) > MostElements);
  offer(make<tg::PadOp>(floats(shape), x, low, high, APFloat(oneIn(2) ? 0.0 : number())));
}

// Of one rank, as in a recipe for any number of ranks that is compiled for one; several stand in tests/unit/tg and tests/e2e.
void GraphMaker::collective() {
  Value x = takeFloat(1);
  offer(oneIn(2) ? make<tg::AllGatherOp>(x.getType(), x, 1) : make<tg::ReduceScatterOp>(x.getType(), x, 1));
}

// The halves of the last axis, joined in another order: rotations, gates. Its gradient joins pads.
void GraphMaker::halves() {
  Value x = takeFloat(1);
  int64_t axis = oneIn(2) ? rankOf(x) - 1 : between(0, rankOf(x) - 1), size = shapeOf(x)[axis];
  refuse(size < 2);
  int64_t cut = oneIn(2) ? size / 2 : between(1, size - 1);
  Sizes offsets(rankOf(x), 0), strides(rankOf(x), 1), first(shapeOf(x)), second(shapeOf(x));
  first[axis] = cut;
  second[axis] = size - cut;
  Value a = part(x, offsets, first, strides);
  offsets[axis] = cut;
  Value b = part(x, offsets, second, strides);
  if (oneIn(3)) {
    offer(same<tg::SinOp>(a));
    return offer(same<tg::CosOp>(b));
  }
  offer(make<tg::ConcatOp>(x.getType(), ValueRange{same<tg::NegOp>(b), a}, axis));
}

// Some numbers lie outside the table: they stand for row 0.
void GraphMaker::gather() {
  Value table = oneIn(2) ? weight(someShape(between(1, 3)), training)
                         : take([](Value value) { return rankOf(value) >= 1 && getElementTypeOrSelf(value).isF32(); });
  Sizes shape = someShape(between(0, 2));
  Value ids = indices(shape, -1, shapeOf(table)[0]);
  llvm::append_range(shape, shapeOf(table).drop_front());
  refuse(tg::elementCount(shape) > MostElements || shape.size() > 5);
  offer(make<tg::GatherOp>(RankedTensorType::get(shape, getElementTypeOrSelf(table)), table, ids));
}

void GraphMaker::scatter() {
  Value updates = takeFloat(1);
  int64_t axes = between(1, rankOf(updates)), rows = between(1, 6);
  Value ids = indices(shapeOf(updates).take_front(axes), -1, rows);
  Sizes shape{rows};
  llvm::append_range(shape, shapeOf(updates).drop_front(axes));
  offer(make<tg::ScatterAddOp>(floats(shape), ids, updates, rows));
}

void GraphMaker::source() {
  Sizes shape = someShape(between(1, 3));
  switch (random() % 4) {
  case 0:
    return offer(make<tg::IotaOp>(wholes(shape), between(0, static_cast<int64_t>(shape.size()) - 1)));
  case 1: {
    tg::HostTensor table(floats(shape));
    refuse(table.size() > 40);
    for (double &element : table.Data)
      element = number();
    return offer(keep(ops.create<tg::ConstantOp>(loc, tg::toAttribute(table))));
  }
  case 2: {
    Value drawn = make<tg::RandomNormalOp>(floats(shape), rng(), site());
    return offer(drawn);
  }
  default:
    return offer(make<tg::RandomUniformOp>(floats(shape), rng(), site()));
  }
}

// A state that changes in the middle: what was read before keeps its value.
void GraphMaker::stateChange() {
  refuse(training);
  Value value = takeFloat();
  auto type = tg::tensorType(value);
  std::string name = "s" + std::to_string(names++);
  Numbers numbers(type.getNumElements());
  for (double &element : numbers)
    element = number();
  current[name] = graph.states[name] = numbers;
  declareState(name, oneIn(2) ? tg::StateKind::Weight : tg::StateKind::Moment, type, false);
  Value before = oneIn(2) ? make<tg::ReadOp>(type, name) : Value();
  keep(ops.create<tg::WriteOp>(loc, name, oneIn(8) ? splat(value, 0) : value, oneIn(2)));
  if (before)
    offer(before);
  if (oneIn(2))
    offer(make<tg::ReadOp>(type, name));
}
