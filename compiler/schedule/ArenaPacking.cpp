// SPDX-License-Identifier: Apache-2.0
//
// Greedy placement by size.
#include "compiler/schedule/ArenaPacking.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"
#include <map>

using namespace llvm;
using namespace vcc::schedule;

namespace {

/// The offset of the tightest gap of at least `size` between sorted [begin, end) spans, or behind them all.
int64_t tightestGap(ArrayRef<std::pair<int64_t, int64_t>> spans, int64_t size) {
  int64_t best = -1, bestSlack = 0, end = 0;
  for (auto [begin, stop] : spans) {
    int64_t slack = begin - end - size;
    if (slack >= 0 && (best < 0 || slack < bestSlack)) {
      best = end;
      bestSlack = slack;
    }
    end = std::max(end, stop);
  }
  return best >= 0 ? best : end;
}

} // namespace

int64_t vcc::schedule::packArena(MutableArrayRef<Lifetime> buffers, int64_t alignment) {
  SmallVector<Lifetime *> order;
  for (Lifetime &buffer : buffers)
    order.push_back(&buffer);
  llvm::stable_sort(order, [](const Lifetime *a, const Lifetime *b) {
    return a->size != b->size ? a->size > b->size : a->first < b->first;
  });
  int64_t total = 0;
  SmallVector<Lifetime *> placed; // by offset
  SmallVector<std::pair<int64_t, int64_t>> spans;
  for (Lifetime *buffer : order) {
    spans.clear();
    for (Lifetime *other : placed)
      if (other->first <= buffer->last && buffer->first <= other->last)
        spans.push_back({other->offset, other->offset + alignTo(other->size, alignment)});
    buffer->offset = tightestGap(spans, alignTo(buffer->size, alignment));
    total = std::max(total, buffer->offset + static_cast<int64_t>(alignTo(buffer->size, alignment)));
    placed.insert(llvm::upper_bound(placed, buffer,
                                    [](Lifetime *a, Lifetime *b) { return a->offset < b->offset; }),
                  buffer);
  }
  return total;
}

int64_t vcc::schedule::largestLiveSum(ArrayRef<Lifetime> buffers, int64_t alignment) {
  std::map<int, int64_t> change;
  for (const Lifetime &buffer : buffers) {
    change[buffer.first] += alignTo(buffer.size, alignment);
    change[buffer.last + 1] -= alignTo(buffer.size, alignment);
  }
  int64_t live = 0, most = 0;
  for (auto [launch, bytes] : change)
    most = std::max(most, live += bytes);
  return most;
}
