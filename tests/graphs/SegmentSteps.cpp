// SPDX-License-Identifier: Apache-2.0
//
// Segments that are computed again for the backward, as the calls of a part under `recompute` leave them: what goes in and what
// comes out passes a border, and in between stand steps that see only what went in and weights of their own.
#include "tests/graphs/GraphMaker.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

Value GraphMaker::border(Value value, tg::BorderSide side, int64_t number) {
  auto barrier = ops.create<tg::BarrierOp>(loc, TypeRange{value.getType()}, ValueRange{value},
                                           tg::BorderAttr::get(ops.getContext(), side, number));
  return keep(barrier);
}

void GraphMaker::segment() {
  refuse(!training || inSegment);
  int64_t number = segments++;
  std::vector<Value> inside;
  for (int64_t i = 0, count = between(1, 2); i < count; ++i)
    inside.push_back(border(takeFloat(), tg::BorderSide::Enter, number));
  size_t entered = inside.size();
  std::swap(pool, inside); // `inside` holds what lies outside meanwhile
  inSegment = true;
  steps(between(2, 5), false);
  inSegment = false;
  std::swap(pool, inside);
  SmallVector<Value> leaving;
  for (Value value : ArrayRef<Value>(inside).drop_front(entered))
    if (isa<FloatType>(getElementTypeOrSelf(value)) && (value.use_empty() || oneIn(6)) && leaving.size() < 3)
      leaving.push_back(value);
  refuse(leaving.empty());
  for (Value value : leaving)
    offer(border(value, tg::BorderSide::Leave, number));
}
