// SPDX-License-Identifier: Apache-2.0
//
// The training side of BatchSource. Place p of step s is sample g = s * places + p of an endless
// stream: epoch g / n, position g % n of that epoch's keyed permutation. What a sample draws is
// keyed by (seed, step, place). A sample that cannot be used is replaced, text and media together,
// by one that is drawn by (seed, g).
#include "runtime/data/SampleError.h"
#include "runtime/data/batches/AheadQueue.h"
#include "runtime/data/batches/Permutation.h"
#include "runtime/data/batches/SampleMaker.h"

#include <algorithm>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

/// One place of a step. Places of other ranks carry texts only: their totals are needed here.
struct Sample {
  RowTexts Texts;
  std::vector<uint8_t> Pixels;
  std::vector<Replacement> Replaced;
  int64_t BytesRead = 0;
};

constexpr int64_t BytesAhead = 256 << 20;
constexpr int Attempts = 1000;

class TrainingBatches : public BatchSource {
public:
  TrainingBatches(const manifest::Manifest &manifest, const manifest::Stage &stage,
                  const manifest::Batch &batch, const DataOptions &options)
      : Maker(manifest, batch, options.dir, /*evaluating=*/false),
        Data(manifest, batch.datasets, options.dir), Numbers(Data, batch), Options(options),
        Rows(batch.rows),
        Accumulate(stage.accumulate), Places(batch.rows * stage.accumulate * options.world),
        Queue(
            options.workers, groupsAhead(), INT64_MAX, [this](int64_t) { return Places; },
            [this](int64_t step, int64_t place) { return make(step, place); }) {}

  int64_t samples() const override { return static_cast<int64_t>(Data.size()); }
  std::string variant(int64_t) const override { return Maker.batch().variant; }
  std::map<std::string, std::vector<int64_t>> unusable() const override { return Data.refused(); }
  void noteUnusable(const std::map<std::string, std::vector<int64_t>> &records) override {
    Data.noteRefused(records);
  }

  void fill(int64_t step, int micro, const HostTensors &destination, BatchReport &report) override {
    if (step < 0 || micro < 0 || micro >= Accumulate)
      throw Failure(Exit::Internal,
                    fmt::format("micro-batch {} of step {} does not exist", micro, step));
    BatchWriter writer(Maker.batch(), destination);
    const auto &group = waited(step);
    report::Timed timed(Options.spans, "batches", "assemble");
    int64_t first = (int64_t(micro) * Options.world + Options.rank) * Rows;
    for (int64_t r = 0; r < Rows; ++r) {
      const Sample &sample = *group[first + r];
      writer.row(r, sample.Texts, sample.Pixels.data());
      account(sample, report);
    }
    report.samples += Rows;
    std::vector<int64_t> supervised(group.front()->Texts.Texts.size());
    for (const auto &sample : group)
      for (size_t f = 0; f < supervised.size(); ++f)
        supervised[f] += sample->Texts.Texts[f].Supervised;
    writer.totals(supervised, Places);
  }

private:
  int64_t groupsAhead() const {
    int64_t clip = Maker.clips() ? static_cast<int64_t>(Maker.clips()->bytes()) : 0;
    int64_t step = std::max<int64_t>(1, Rows * Accumulate * clip);
    return std::clamp<int64_t>(BytesAhead / step, 2, 4);
  }

  void account(const Sample &sample, BatchReport &report) const {
    size_t text = 0;
    for (const manifest::Field &field : Maker.batch().fields) {
      if (!field.isText())
        continue;
      const TextRow &row = sample.Texts.Texts[text++];
      report.tokens += row.Tokens;
      if (field.kind == manifest::Field::Kind::Template)
        report.supervised += row.Supervised;
    }
    report.bytes += sample.BytesRead;
    report.replaced.insert(report.replaced.end(), sample.Replaced.begin(), sample.Replaced.end());
  }

  uint64_t ordered(uint64_t global) const {
    uint64_t count = Data.size(), epoch = global / count;
    return Permutation(count, Draws(Options.seed, Purpose::Order, epoch, count)).at(global % count);
  }

  const AheadQueue<Sample>::Group &waited(int64_t step) {
    report::Timed timed(Options.spans, "batches", "wait for samples");
    return Queue.take(step);
  }

  std::unique_ptr<Sample> make(int64_t step, int64_t place) {
    uint64_t global = static_cast<uint64_t>(step) * Places + place;
    auto sample = std::make_unique<Sample>();
    uint64_t index = ordered(global);
    for (int attempt = 0; attempt < Attempts; ++attempt) {
      try {
        use(index, step, place, *sample);
        return sample;
      } catch (const SampleError &error) {
        Data.refuse(index, error.what());
        sample->Replaced.push_back({Data.name(index), error.what()});
      }
      index = Draws(Options.seed, Purpose::Replacement, global, attempt).below(Data.size());
    }
    throw Failure(Exit::Data, fmt::format("{} samples in a row cannot be used; the last: {}",
                                          Attempts, sample->Replaced.back().reason));
  }

  void readTexts(uint64_t index, const DrawKey &key, Record &record, Sample &sample) {
    report::Timed timed(Options.spans, "data", "tokenize");
    Data.read(index, record);
    Conversation conversation(record, Maker.turnChoice(), key.draws(Purpose::Turn));
    sample.Texts = Maker.texts(conversation, key, Data, index, Numbers);
  }

  void use(uint64_t index, int64_t step, int64_t place, Sample &sample) {
    thread_local Record record;
    DrawKey key{Options.seed, static_cast<uint64_t>(step), static_cast<uint64_t>(place)};
    readTexts(index, key, record, sample);
    if (!Maker.clips())
      return;
    report::Timed timed(Options.spans, "data", "decode");
    std::string path = Data.media(index, record);
    // Whether another rank replaces this sample decides its text, so its file must be known to be
    // good here too.
    if (place / Rows % Options.world != Options.rank)
      return Maker.clips()->check(path);
    sample.Pixels.resize(Maker.clips()->bytes());
    sample.BytesRead = static_cast<int64_t>(Maker.clips()->read(path, key, sample.Pixels.data()));
  }

  SampleMaker Maker;
  Datasets Data;
  const Identities Numbers;
  const DataOptions Options;
  const int64_t Rows, Accumulate, Places;
  AheadQueue<Sample> Queue; // last: its workers use all of the above
};

} // namespace
} // namespace vcc::runtime::data

namespace vcc::runtime {

std::unique_ptr<BatchSource> openBatchSource(const manifest::Manifest &manifest,
                                             const manifest::Stage &stage,
                                             const DataOptions &options, report::Log &) {
  if (stage.batch.size() != 1)
    throw Failure(Exit::Internal,
                  fmt::format("stage `{}` has {} batch variants, but this runtime runs one",
                              stage.name, stage.batch.size()));
  return std::make_unique<data::TrainingBatches>(manifest, stage, stage.batch.begin()->second,
                                                 options);
}

} // namespace vcc::runtime
