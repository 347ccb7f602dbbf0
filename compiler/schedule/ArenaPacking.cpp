// SPDX-License-Identifier: Apache-2.0
//
// Static placement: long lives stacked in the order in which they end, short ones above them into gaps.
#include "compiler/schedule/ArenaPacking.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"
#include <limits>
#include <map>
#include <vector>

using namespace llvm;
using namespace vcc::schedule;

namespace {

/// Launches that a short life lasts at most, tried until the result is good enough. Short ones are compared with each other, so this
/// bounds the pairs per buffer.
constexpr int ShortLives[] = {48, 192, 768, 3072};
constexpr double GoodEnough = 1.05; ///< of the largest sum that lives at one time

int64_t lengthOf(const Lifetime &buffer) { return buffer.last - buffer.first; }

/// The tightest gap of at least `size` between sorted [begin, end) spans from `floor` up, or behind them all.
int64_t tightestGap(ArrayRef<std::pair<int64_t, int64_t>> spans, int64_t size, int64_t floor) {
  int64_t best = -1, bestSlack = 0, end = floor;
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

/// How high every launch is filled: the highest of a range, and a range filled up to a height, both in logarithmic time.
class Skyline {
public:
  explicit Skyline(int launches) : leaves(PowerOf2Ceil(std::max(launches, 1))), highest(2 * leaves), filled(2 * leaves) {}

  int64_t highestIn(int first, int last) const { return query(1, 0, leaves - 1, first, last); }
  /// `height` is at least what any launch of the range has.
  void fill(int first, int last, int64_t height) { update(1, 0, leaves - 1, first, last, height); }

private:
  int64_t query(int node, int from, int to, int first, int last) const {
    if (last < from || to < first)
      return 0;
    if (first <= from && to <= last)
      return highest[node];
    int middle = (from + to) / 2;
    return std::max({filled[node], query(2 * node, from, middle, first, last), query(2 * node + 1, middle + 1, to, first, last)});
  }

  void update(int node, int from, int to, int first, int last, int64_t height) {
    if (last < from || to < first)
      return;
    highest[node] = std::max(highest[node], height);
    if (first <= from && to <= last) {
      filled[node] = std::max(filled[node], height);
      return;
    }
    int middle = (from + to) / 2;
    update(2 * node, from, middle, first, last, height);
    update(2 * node + 1, middle + 1, to, first, last, height);
  }

  int leaves;
  SmallVector<int64_t> highest; ///< of each node's range
  SmallVector<int64_t> filled;  ///< up to here everywhere in the range
};

/// Buffers that are placed, found by the launches at which they live.
class Neighbours {
public:
  explicit Neighbours(int launches) : living(launches), beginning(launches) {}

  void add(Lifetime *buffer) {
    beginning[buffer->first].push_back(buffer);
    for (int launch = buffer->first; launch <= buffer->last; ++launch)
      living[launch].push_back(buffer);
  }

  /// Spans of those that live at the same time as `buffer`, sorted: of all that live at its first launch, and begin at a later one.
  void spansBeside(const Lifetime &buffer, int64_t alignment, SmallVectorImpl<std::pair<int64_t, int64_t>> &spans) const {
    spans.clear();
    auto append = [&](ArrayRef<Lifetime *> others) {
      for (const Lifetime *other : others)
        spans.push_back({other->offset, other->offset + alignTo(other->size, alignment)});
    };
    append(living[buffer.first]);
    for (int launch = buffer.first + 1; launch <= buffer.last; ++launch)
      append(beginning[launch]);
    llvm::sort(spans);
  }

private:
  std::vector<SmallVector<Lifetime *, 4>> living, beginning;
};

} // namespace

static int64_t packOnce(MutableArrayRef<Lifetime> buffers, int64_t alignment, int shortLife) {
  int launches = 0;
  SmallVector<Lifetime *> longLives, shortLives;
  for (Lifetime &buffer : buffers) {
    launches = std::max(launches, buffer.last + 1);
    (lengthOf(buffer) > shortLife ? longLives : shortLives).push_back(&buffer);
  }
  // What forward keeps for backward is made first and freed last: the longest first, it makes a stack without holes.
  llvm::stable_sort(longLives, [](const Lifetime *a, const Lifetime *b) { return lengthOf(*a) > lengthOf(*b); });
  llvm::stable_sort(shortLives, [](const Lifetime *a, const Lifetime *b) {
    return a->size != b->size ? a->size > b->size : a->first < b->first;
  });
  int64_t total = 0;
  Skyline stack(launches);
  for (Lifetime *buffer : longLives) {
    buffer->offset = stack.highestIn(buffer->first, buffer->last);
    int64_t end = buffer->offset + static_cast<int64_t>(alignTo(buffer->size, alignment));
    stack.fill(buffer->first, buffer->last, end);
    total = std::max(total, end);
  }
  Neighbours placed(launches);
  SmallVector<std::pair<int64_t, int64_t>> spans;
  for (Lifetime *buffer : shortLives) {
    int64_t size = alignTo(buffer->size, alignment);
    placed.spansBeside(*buffer, alignment, spans);
    buffer->offset = tightestGap(spans, size, stack.highestIn(buffer->first, buffer->last));
    total = std::max(total, buffer->offset + size);
    placed.add(buffer);
  }
  return total;
}

int64_t vcc::schedule::packArena(MutableArrayRef<Lifetime> buffers, int64_t alignment) {
  double enough = GoodEnough * static_cast<double>(largestLiveSum(buffers, alignment));
  int64_t least = std::numeric_limits<int64_t>::max();
  SmallVector<Lifetime> attempt(buffers.begin(), buffers.end());
  for (int shortLife : ShortLives) {
    int64_t total = packOnce(attempt, alignment, shortLife);
    if (total < least) {
      least = total;
      llvm::copy(attempt, buffers.begin());
    }
    bool allShort = llvm::all_of(buffers, [&](const Lifetime &buffer) { return lengthOf(buffer) <= shortLife; });
    if (static_cast<double>(total) <= enough || allShort)
      break;
  }
  return least;
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
