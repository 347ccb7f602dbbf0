// SPDX-License-Identifier: Apache-2.0
//
// Which record is sample i of an epoch. Joined datasets: a keyed permutation of all records, another
// one each epoch. Weighted datasets: an epoch is as long, but each dataset has its share of the
// places, and gives its records permutation by permutation over the epochs, so that none comes twice
// before all came once.
#ifndef VCC_RUNTIME_DATA_BATCHES_SAMPLESTREAM_H
#define VCC_RUNTIME_DATA_BATCHES_SAMPLESTREAM_H

#include "runtime/data/batches/Datasets.h"
#include "runtime/data/batches/Permutation.h"

namespace vcc::runtime::data {

class SampleStream {
public:
  /// `branch` tells the streams of a stage apart. `weights`: one for each dataset, or none.
  SampleStream(const Datasets &data, const std::vector<double> &weights, uint64_t seed,
               uint64_t branch);

  /// The record, in the joined numbering of the datasets.
  uint64_t at(uint64_t epoch, uint64_t index) const;
  /// What takes the place of a record that cannot be used; with weights, one of the same dataset.
  uint64_t replacement(uint64_t bad, Draws draws) const;
  /// Places an epoch of each dataset; empty without weights.
  const std::vector<uint64_t> &shares() const { return Shares; }

private:
  const Datasets &Data;
  const uint64_t Seed, Branch;
  std::vector<uint64_t> Shares;
};

} // namespace vcc::runtime::data
#endif
