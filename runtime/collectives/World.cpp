// SPDX-License-Identifier: Apache-2.0
//
// Sums in the order of ranks: each rank adds up one part of all, then the parts are gathered.
#include "runtime/collectives/World.h"

#include <algorithm>
#include <cstring>

namespace vcc::runtime {

/// Elements of a part: what is exchanged at once has at most as many for every rank.
static constexpr int64_t Block = int64_t(1) << 20;

double World::sum(double value) {
  sum(&value, 1);
  return value;
}

void World::sum(double *values, int64_t count) {
  if (size() == 1)
    return;
  std::vector<double> all(size_t(count) * size_t(size()));
  gather(values, all.data(), size_t(count) * sizeof(double));
  std::copy_n(all.begin(), count, values);
  for (int rank = 1; rank < size(); ++rank)
    for (int64_t i = 0; i < count; ++i)
      values[i] += all[size_t(rank * count + i)];
}

void World::sumParts(const float *parts, float *mine, int64_t count) {
  if (size() == 1) {
    std::copy_n(parts, count, mine);
    return;
  }
  Received.resize(size_t(count) * size_t(size()));
  exchange(parts, Received.data(), size_t(count) * sizeof(float));
  std::copy_n(Received.begin(), count, mine);
  for (int rank = 1; rank < size(); ++rank) {
    const float *theirs = Received.data() + rank * count;
    for (int64_t i = 0; i < count; ++i)
      mine[i] += theirs[i];
  }
}

void World::sum(float *values, int64_t count) {
  if (size() == 1)
    return;
  int64_t ranks = size();
  for (int64_t begin = 0; begin < count;) {
    int64_t part = std::min(Block, (count - begin + ranks - 1) / ranks), taken = std::min(part * ranks, count - begin);
    Part.resize(size_t(part));
    if (taken == part * ranks) {
      sumParts(values + begin, Part.data(), part);
      gather(Part.data(), values + begin, size_t(part) * sizeof(float));
    } else { // the end does not divide evenly
      Parts.assign(size_t(part * ranks), 0.0f);
      std::copy_n(values + begin, taken, Parts.begin());
      sumParts(Parts.data(), Part.data(), part);
      gather(Part.data(), Parts.data(), size_t(part) * sizeof(float));
      std::copy_n(Parts.begin(), taken, values + begin);
    }
    begin += taken;
  }
}

std::vector<std::string> World::gather(const std::string &mine) {
  uint64_t length = mine.size();
  std::vector<uint64_t> lengths(static_cast<size_t>(size()));
  gather(&length, lengths.data(), sizeof length);
  uint64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> texts(lengths.size());
  if (longest == 0)
    return texts;
  std::string padded = mine, all(longest * lengths.size(), '\0');
  padded.resize(longest);
  gather(padded.data(), all.data(), longest);
  for (size_t rank = 0; rank < texts.size(); ++rank)
    texts[rank] = all.substr(rank * longest, lengths[rank]);
  return texts;
}

std::string World::broadcast(std::string text) {
  uint64_t length = text.size();
  broadcast(&length, sizeof length);
  text.resize(length);
  broadcast(text.data(), length);
  return text;
}

} // namespace vcc::runtime
