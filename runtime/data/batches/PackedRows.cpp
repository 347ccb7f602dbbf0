// SPDX-License-Identifier: Apache-2.0
//
// Packing by best fit, the longest first (Johnson, 1973).
#include "runtime/data/batches/PackedRows.h"

#include <algorithm>
#include <numeric>

namespace vcc::runtime::data {

std::optional<std::vector<PackedPlace>> packedPlaces(const manifest::Field &field, const std::vector<const TextRow *> &samples) {
  struct Row {
    int64_t Tokens = 0, Positions = 0;
  };
  // Visual positions count apart, so that a row's tokens of text are bounded too.
  std::vector<Row> rows(samples.size() / static_cast<size_t>(field.pack));
  std::vector<size_t> order(samples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return samples[a]->Length > samples[b]->Length; });
  std::vector<PackedPlace> places(samples.size());
  for (size_t sample : order) {
    const TextRow &text = *samples[sample];
    Row *best = nullptr;
    for (Row &row : rows)
      if (row.Tokens + text.Tokens <= field.rowTokens() && row.Positions + text.Length <= field.rowLength() &&
          (!best || row.Positions > best->Positions))
        best = &row;
    if (!best)
      return std::nullopt;
    best->Tokens += text.Tokens, best->Positions += text.Length;
    places[sample].Row = best - rows.data();
  }
  std::vector<int64_t> next(rows.size());
  for (size_t sample = 0; sample < samples.size(); ++sample) {
    places[sample].First = next[static_cast<size_t>(places[sample].Row)];
    next[static_cast<size_t>(places[sample].Row)] += samples[sample]->Length;
  }
  return places;
}

} // namespace vcc::runtime::data
