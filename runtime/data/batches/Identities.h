// SPDX-License-Identifier: Apache-2.0
//
// Which samples are the same thing, as numbers: the place of a record among all records of a stage,
// and for each identity field a number for each value that its records have. Numbers are given in
// order of the datasets and their records, so that they are the same on every rank and in every run.
#ifndef VCC_RUNTIME_DATA_BATCHES_IDENTITIES_H
#define VCC_RUNTIME_DATA_BATCHES_IDENTITIES_H

#include "runtime/data/batches/Datasets.h"
#include "runtime/data/text/Conversation.h"

#include <unordered_map>

namespace vcc::runtime::data {

class Identities {
public:
  Identities() = default;
  Identities(const Datasets &data, const manifest::Batch &batch) { add(data, batch); }
  /// Adds the datasets of a batch, and reads the fields that its identities are made of. A dataset
  /// that was added before keeps its numbers.
  void add(const Datasets &data, const manifest::Batch &batch);

  /// The number of a record of the joined `data` among all that were added.
  int32_t of(const Datasets &data, uint64_t index) const;
  /// The number of a field's value in a conversation; throws SampleError where it has none.
  int32_t of(const std::string &field, const Conversation &conversation) const;

private:
  void scan(const Datasets &data, const std::string &field, const std::string &dataset);

  using Numbers = std::unordered_map<std::string, int32_t>;
  std::map<std::string, int64_t> First; // by dataset
  int64_t Total = 0;
  std::map<std::string, Numbers> Values; // by field
  std::set<std::pair<std::string, std::string>> Scanned; // field and dataset
};

} // namespace vcc::runtime::data
#endif
