// SPDX-License-Identifier: Apache-2.0
//
// One branch of a stage's batch: its datasets, its samples in order, and how they become the rows of
// its step variants. A sample is made once, with the whole of its texts; the variant of a micro-batch
// is the smallest that holds the texts of all its rows, on all ranks.
#ifndef VCC_RUNTIME_DATA_BATCHES_TRAININGBRANCH_H
#define VCC_RUNTIME_DATA_BATCHES_TRAININGBRANCH_H

#include "runtime/data/batches/SampleMaker.h"
#include "runtime/data/batches/SampleStream.h"
#include "runtime/data/batches/StageBatches.h"
#include "runtime/report/Timeline.h"

#include <algorithm>

namespace vcc::runtime::data {

/// One place of a step. Places of other ranks carry texts only: their totals are needed here.
struct Sample {
  RowTexts Texts;
  std::vector<uint8_t> Pixels;
  uint32_t Clips = 1; // that the pixels are of
  std::vector<Replacement> Replaced;
  int64_t BytesRead = 0;
};

class TrainingBranch {
public:
  /// `variants`: of the branch, the cheapest first. `number`: which of the stage's branches it is.
  TrainingBranch(const manifest::Manifest &manifest, Variants variants, const DataOptions &options, uint64_t number);

  const manifest::Batch &batch() const { return Whole; }
  const Datasets &data() const { return Data; }
  Datasets &data() { return Data; }
  int64_t clipBytes() const { return Maker.clips() ? static_cast<int64_t>(Maker.clips()->bytes()) : 0; }
  /// Samples of a micro-batch over all ranks, and micro-batches an epoch: at least one, however few samples there are.
  int64_t places() const { return Whole.rows * Options.world; }
  int64_t batches() const { return std::max<int64_t>(1, static_cast<int64_t>(Data.size()) / places()); }

  /// Place `within` of micro-batch `micro` of `step`; `mine`: with its pixels.
  std::unique_ptr<Sample> make(int64_t step, const MicroBatch &micro, int64_t within, bool mine, const Identities &identities);
  /// The variant for the rows of a micro-batch.
  const manifest::Batch &variantOf(const std::unique_ptr<Sample> *samples) const;
  bool hasBuckets() const { return Ordered.size() > 1; }

private:
  /// What record `record` says, with the clip of record `shown`.
  void use(uint64_t record, uint64_t shown, const DrawKey &key, uint64_t first, bool mine, Sample &sample, const Identities &identities);
  int64_t clipsOf(const std::unique_ptr<Sample> *samples) const;
  void readClip(uint64_t record, const Record &read, const DrawKey &key, bool mine, Sample &sample);

  const Variants Ordered;      // the cheapest first
  const manifest::Batch Whole; // with the longest of each text field
  const DataOptions Options;
  SampleMaker Maker;
  Datasets Data;
  SampleStream Stream;
};

} // namespace vcc::runtime::data
#endif
