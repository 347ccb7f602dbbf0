// SPDX-License-Identifier: Apache-2.0
//
// SampleStream: shares by the largest remainder, so that they add up.
#include "runtime/data/batches/SampleStream.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vcc::runtime::data {

/// A stage has few branches and a branch few datasets; counts of records stay far below this.
static constexpr int BranchShift = 48, DatasetShift = 40;

static std::vector<uint64_t> sharesOf(uint64_t places, const std::vector<double> &weights) {
  double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<uint64_t> shares;
  std::vector<std::pair<double, size_t>> rests;
  uint64_t given = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    double exact = static_cast<double>(places) * (weights[i] / all);
    shares.push_back(static_cast<uint64_t>(exact));
    given += shares.back();
    rests.push_back({std::floor(exact) - exact, i}); // the largest rest first, then the first dataset
  }
  std::sort(rests.begin(), rests.end());
  for (size_t i = 0; given < places; ++given, ++i)
    ++shares[rests[i % rests.size()].second];
  return shares;
}

SampleStream::SampleStream(const Datasets &data, const std::vector<double> &weights, uint64_t seed,
                           uint64_t branch)
    : Data(data), Seed(seed), Branch(branch) {
  if (!weights.empty())
    Shares = sharesOf(data.size(), weights);
}

uint64_t SampleStream::at(uint64_t epoch, uint64_t index) const {
  uint64_t count = Data.size(), stream = count + (Branch << BranchShift);
  uint64_t place = Permutation(count, Draws(Seed, Purpose::Order, epoch, stream)).at(index);
  if (Shares.empty())
    return place;
  size_t dataset = 0;
  for (; place >= Shares[dataset]; ++dataset)
    place -= Shares[dataset];
  auto [begin, size] = Data.range(dataset);
  uint64_t number = epoch * Shares[dataset] + place;
  uint64_t key = (Branch << BranchShift) + (static_cast<uint64_t>(dataset) << DatasetShift) + size;
  return begin + Permutation(size, Draws(Seed, Purpose::Weighted, number / size, key)).at(number % size);
}

uint64_t SampleStream::replacement(uint64_t bad, Draws draws) const {
  if (Shares.empty())
    return draws.below(Data.size());
  for (size_t dataset = 0;; ++dataset)
    if (auto [begin, size] = Data.range(dataset); bad < begin + size)
      return begin + draws.below(size);
}

} // namespace vcc::runtime::data
