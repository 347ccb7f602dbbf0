// SPDX-License-Identifier: Apache-2.0
//
// Steps of a random graph that compute element by element, and what must hold of their operands.
#include "tests/graphs/GraphMaker.h"

#include <cmath>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

/// Compared values are this far apart, unless both are exact.
static constexpr double Margin = 1e-3;

double GraphMaker::least(Value value) { return *llvm::min_element(known(value).data.Data); }
double GraphMaker::largest(Value value) {
  double found = 0;
  for (double element : known(value).data.Data)
    found = std::max(found, std::abs(element));
  return found;
}

bool GraphMaker::apartFrom(Value x, Value y) {
  if (known(x).exact && known(y).exact)
    return true;
  for (auto [a, b] : llvm::zip_equal(known(x).data.Data, known(y).data.Data))
    if (std::abs(a - b) < Margin)
      return false;
  return true;
}

bool GraphMaker::awayFromZero(Value x, double distance) {
  return llvm::all_of(known(x).data.Data, [&](double a) { return std::abs(a) >= distance; });
}

bool GraphMaker::awayFromWhole(Value x) {
  return known(x).exact ||
         llvm::all_of(known(x).data.Data, [](double a) { return std::abs(a - std::round(a)) >= Margin; });
}

// The two largest (and the two smallest) of what is reduced together.
bool GraphMaker::extremesApart(Value x, ArrayRef<int64_t> axes) {
  if (known(x).exact)
    return true;
  auto type = tg::tensorType(x);
  SmallVector<int64_t> strides = tg::rowMajorStrides(type.getShape());
  std::map<std::vector<int64_t>, std::vector<double>> together;
  for (auto [place, element] : llvm::enumerate(known(x).data.Data)) {
    std::vector<int64_t> key;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (!llvm::is_contained(axes, axis))
        key.push_back(static_cast<int64_t>(place) / strides[axis] % type.getDimSize(axis));
    together[key].push_back(element);
  }
  for (auto &[key, elements] : together) {
    llvm::sort(elements);
    size_t count = elements.size();
    if (count > 1 && (elements[1] - elements[0] < Margin || elements[count - 1] - elements[count - 2] < Margin))
      return false;
  }
  return true;
}

/// A value at least 0.1 everywhere that depends on x.
Value GraphMaker::positive(Value x) {
  if (least(x) >= 0.1)
    return x;
  switch (random() % 3) {
  case 0: {
    Value gate = same<tg::SigmoidOp>(x);
    return same<tg::AddOp>(gate, splat(gate, 0.25));
  }
  case 1: {
    Value square = same<tg::MulOp>(x, x);
    return same<tg::AddOp>(square, splat(square, 0.5));
  }
  default:
    refuse(least(x) < -2);
    return same<tg::ExpOp>(x);
  }
}

/// x, through which no gradient flows.
Value GraphMaker::passive(Value x) { return known(x).active ? same<tg::StopGradientOp>(x) : x; }

void GraphMaker::unary() {
  Value x = takeFloat();
  switch (random() % 12) {
  case 0:
    return offer(same<tg::NegOp>(x));
  case 1:
    refuse(!known(x).exact && !awayFromZero(x, Margin));
    return offer(same<tg::AbsOp>(x));
  case 2:
    refuse(largest(x) > 3);
    return offer(same<tg::ExpOp>(x));
  case 3:
    return offer(same<tg::LogOp>(positive(x)));
  case 4:
    return offer(same<tg::SqrtOp>(positive(x)));
  case 5:
    return offer(same<tg::RsqrtOp>(positive(x)));
  case 6:
    return offer(same<tg::TanhOp>(x));
  case 7:
    return offer(same<tg::ErfOp>(x));
  case 8:
    return offer(same<tg::SinOp>(x));
  case 9:
    return offer(same<tg::CosOp>(x));
  case 10:
    return offer(same<tg::SigmoidOp>(x));
  default:
    refuse(!awayFromWhole(x));
    return offer(same<tg::FloorOp>(passive(x)));
  }
}

void GraphMaker::binary() {
  Value x = takeFloat();
  Value y = oneIn(5) ? splat(x, oneIn(4) ? 0 : oneIn(3) ? 1 : number()) : takeLike(x.getType());
  if (oneIn(3))
    std::swap(x, y);
  switch (random() % 7) {
  case 0:
  case 1:
    return offer(same<tg::AddOp>(x, y));
  case 2:
    return offer(same<tg::SubOp>(x, y));
  case 3:
    return offer(same<tg::MulOp>(x, y));
  case 4:
    return offer(same<tg::DivOp>(x, positive(y)));
  case 5:
    refuse(!apartFrom(x, y));
    return offer(same<tg::MaxOp>(x, y));
  default:
    refuse(!apartFrom(x, y));
    return offer(same<tg::MinOp>(x, y));
  }
}

void GraphMaker::power() {
  static constexpr double exponents[] = {2, 3, 0.5, -0.5, -1, 1, 1.5};
  Value x = positive(takeFloat());
  refuse(largest(x) > 8);
  Value y = oneIn(3) ? takeLike(x.getType()) : splat(x, exponents[random() % std::size(exponents)]);
  refuse(largest(y) > 3);
  offer(same<tg::PowOp>(x, y));
}

void GraphMaker::whole() {
  Value x = takeWhole();
  if (oneIn(6))
    return offer(oneIn(2) ? same<tg::NegOp>(x) : same<tg::AbsOp>(x));
  Value y = oneIn(4) ? splat(x, static_cast<double>(between(-3, 5))) : takeLike(x.getType());
  switch (random() % 6) {
  case 0:
    return offer(same<tg::AddOp>(x, y));
  case 1:
    return offer(same<tg::SubOp>(x, y));
  case 2:
    return offer(same<tg::MulOp>(x, y));
  case 3:
    return offer(same<tg::DivOp>(x, y));
  case 4:
    return offer(same<tg::MaxOp>(x, y));
  default:
    return offer(same<tg::MinOp>(x, y));
  }
}

void GraphMaker::truth() {
  if (!oneIn(3)) {
    Value x = takeTruth();
    if (oneIn(3))
      return offer(same<tg::NotOp>(x));
    Value y = oneIn(6) ? splat(x, oneIn(2)) : takeLike(x.getType());
    return offer(oneIn(2) ? same<tg::AndOp>(x, y) : same<tg::OrOp>(x, y));
  }
  Value x = oneIn(3) ? takeWhole() : takeFloat();
  Value y = oneIn(3) ? splat(x, static_cast<double>(between(-1, 1)) / 2) : takeLike(x.getType());
  refuse(!apartFrom(x, y));
  offer(make<tg::CompareOp>(RankedTensorType::get(shapeOf(x), i1), x, y, static_cast<tg::Predicate>(random() % 6)));
}

void GraphMaker::select() {
  Value x = oneIn(5) ? takeWhole() : takeFloat();
  Value condition = takeLike(RankedTensorType::get(shapeOf(x), i1));
  Value y = oneIn(3) ? splat(x, 0) : takeLike(x.getType());
  if (oneIn(3))
    std::swap(x, y);
  offer(make<tg::SelectOp>(x.getType(), condition, x, y));
}

void GraphMaker::convert() {
  Value x;
  switch (random() % 6) {
  case 0:
    x = takeWhole();
    return offer(make<tg::CastOp>(floats(shapeOf(x)), x));
  case 1:
    x = takeTruth();
    return offer(make<tg::CastOp>(oneIn(2) ? floats(shapeOf(x)) : wholes(shapeOf(x)), x));
  case 2:
    x = takeWhole();
    return offer(make<tg::CastOp>(RankedTensorType::get(shapeOf(x), i1), x));
  case 3: { // pixels
    Type bytes = RankedTensorType::get(someShape(between(1, 4)), IntegerType::get(ops.getContext(), 8, IntegerType::Unsigned));
    x = input(bytes, [&] { return static_cast<double>(between(0, 255)); });
    x = make<tg::CastOp>(floats(shapeOf(x)), x);
    return offer(same<tg::MulOp>(x, splat(x, 1.0 / 256)));
  }
  case 4:
    x = takeFloat();
    refuse(!known(x).exact && !awayFromZero(x, Margin));
    return offer(make<tg::CastOp>(RankedTensorType::get(shapeOf(x), i1), x));
  default:
    x = takeFloat();
    refuse(!awayFromWhole(x));
    return offer(make<tg::CastOp>(wholes(shapeOf(x)), x));
  }
}

// Values that no rewrite may look through, or through which no gradient flows.
void GraphMaker::fence() {
  if (oneIn(2))
    return offer(same<tg::StopGradientOp>(takeFloat()));
  SmallVector<Value> inputs{takeFloat()};
  while (oneIn(2) && inputs.size() < 3)
    inputs.push_back(takeFloat());
  SmallVector<Type> types;
  for (Value value : inputs)
    types.push_back(value.getType());
  auto barrier = ops.create<tg::BarrierOp>(loc, types, inputs);
  keep(barrier);
  for (Value value : barrier.getResults())
    offer(value);
}
