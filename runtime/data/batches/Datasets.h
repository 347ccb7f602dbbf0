// SPDX-License-Identifier: Apache-2.0
//
// The datasets of a batch, joined end to end into one numbering, with their limits on samples that
// cannot be used.
#ifndef VCC_RUNTIME_DATA_BATCHES_DATASETS_H
#define VCC_RUNTIME_DATA_BATCHES_DATASETS_H

#include "runtime/data/annotations/Records.h"
#include "runtime/data/media/FrameStream.h"
#include "runtime/program/Manifest.h"

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace vcc::runtime::data {

class Datasets {
public:
  /// Opens and indexes the annotation files; throws a Failure where one is missing, broken or
  /// empty.
  Datasets(const manifest::Manifest &manifest, const std::vector<std::string> &names,
           const std::string &dir);

  uint64_t size() const { return Total; }
  /// Of the dataset that was named in this place: its first record in the joined numbering, and how many it has.
  std::pair<uint64_t, uint64_t> range(size_t dataset) const {
    return {Parts.at(dataset).Begin, Parts.at(dataset).File->size()};
  }
  void read(uint64_t index, Record &into) const;
  /// Where a record's clip lies; throws SampleError where the record has none.
  ClipSource media(uint64_t index, const Record &record) const;
  /// A dataset of the batch: how many records, and its first in the joined numbering.
  uint64_t sizeOf(const std::string &dataset) const { return named(dataset).File->size(); }
  uint64_t beginOf(const std::string &dataset) const { return named(dataset).Begin; }
  /// The dataset that a record of the joined numbering is of, and its place there.
  std::pair<const std::string &, uint64_t> place(uint64_t index) const;
  /// `train.json: record 17`.
  std::string name(uint64_t index) const;
  /// RecordFile::content() of each dataset.
  std::map<std::string, std::string> content() const;
  /// Notes that a sample cannot be used; throws a Failure once more of its dataset's samples are
  /// bad than the recipe allows. Safe from several threads.
  void refuse(uint64_t index, const std::string &reason);
  /// The records refused so far, in order, by dataset; and those that an earlier run has refused, which count as well.
  std::map<std::string, std::vector<int64_t>> refused() const;
  void noteRefused(const std::map<std::string, std::vector<int64_t>> &records);

private:
  struct Part {
    const manifest::Dataset *Declared;
    std::unique_ptr<RecordFile> File;
    std::string Folder;
    uint64_t Begin;
    std::set<uint64_t> Bad; // in the joined numbering
  };
  const Part &part(uint64_t index) const;
  const Part &named(const std::string &dataset) const;

  std::vector<Part> Parts;
  uint64_t Total = 0;
  mutable std::mutex Mutex;
};

} // namespace vcc::runtime::data
#endif
