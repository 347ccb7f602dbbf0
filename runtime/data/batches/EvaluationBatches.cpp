// SPDX-License-Identifier: Apache-2.0
//
// The evaluation side: every record once, in file order, its candidates in consecutive rows.
// `shuffled` gives each record the clip of another, by one cycle through a keyed permutation, so
// that no record keeps its own.
#include "runtime/data/SampleError.h"
#include "runtime/data/batches/AheadQueue.h"
#include "runtime/data/batches/Permutation.h"
#include "runtime/data/batches/SampleMaker.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>

namespace vcc::runtime::data {
namespace {

/// What one record gives to one batch.
struct RecordRows {
  std::vector<RowTexts> Rows;
  std::vector<uint8_t> Pixels;
  uint32_t Clips = 1; // that the pixels are of
};

class EvaluationBatches : public EvaluationSource {
public:
  EvaluationBatches(const manifest::Manifest &manifest, const manifest::Evaluation &evaluation,
                    const DataOptions &options)
      : Evaluation(evaluation),
        Maker(manifest, evaluation.batch, options.dir, true, evaluation.media == "still"),
        Data(manifest, evaluation.batch.datasets, options.dir), Numbers(Data, evaluation.batch),
        Options(options),
        Rows(evaluation.batch.rows),
        Cycle(Data.size(), Draws(options.seed, Purpose::Shuffle, 0, Data.size())) {
    if (evaluation.media != "normal" && evaluation.media != "shuffled" &&
        evaluation.media != "still")
      throw Failure(Exit::Internal,
                    fmt::format("evaluation `{}`: media `{}` is none of normal, shuffled, still",
                                evaluation.name, evaluation.media));
    readRecords();
    Queue.emplace(
        options.workers, 2, batches(),
        [this](int64_t batch) { return lastRecord(batch) - firstRecord(batch) + 1; },
        [this](int64_t batch, int64_t item) { return make(batch, firstRecord(batch) + item); });
  }

  int64_t batches() const override { return (FirstRow.back() + Rows - 1) / Rows; }
  int64_t records() const override { return static_cast<int64_t>(Records.size()); }
  const EvaluationRecord &record(int64_t index) const override { return Records.at(index); }

  void fill(int64_t batch, const HostTensors &destination,
            std::vector<EvaluationRow> &rows) override {
    if (batch < 0 || batch >= batches())
      throw Failure(Exit::Internal, fmt::format("batch {} of evaluation `{}` does not exist", batch,
                                                Evaluation.name));
    BatchWriter writer(Evaluation.batch, destination);
    const auto &group = Queue->take(batch);
    rows.clear();
    std::map<std::string, int64_t> supervised;
    for (int64_t item = 0; item < static_cast<int64_t>(group.size()); ++item) {
      int64_t record = firstRecord(batch) + item;
      int64_t candidate = std::max<int64_t>(batch * Rows - FirstRow[record], 0);
      for (const RowTexts &texts : group[item]->Rows) {
        writer.row(static_cast<int64_t>(rows.size()), texts, group[item]->Pixels.data(), group[item]->Clips);
        size_t text = 0;
        for (const manifest::Field &field : Evaluation.batch.fields)
          if (field.isText())
            supervised[field.name] += texts.Texts[text++].Supervised;
        rows.push_back({record, candidate++});
      }
    }
    writer.totals(supervised, static_cast<int64_t>(rows.size()));
    while (static_cast<int64_t>(rows.size()) < Rows) {
      writer.emptyRow(static_cast<int64_t>(rows.size()), group.front()->Rows.front());
      rows.push_back({-1, 0});
    }
    writer.emptyClips();
  }

  void check() override {
    Record record;
    for (uint64_t index = 0; index < Data.size(); ++index) {
      Data.read(index, record);
      DrawKey key{Options.seed, index, 0};
      Conversation conversation(record, TurnChoice::All, key.draws(Purpose::Turn));
      if (Maker.clips())
        checkClip(Data.media(index, record), record);
      if (Maker.namesTimes()) // any stand for those that decoding will tell
        conversation.times(std::vector<double>(Maker.clips()->spec().Frames));
      if (!Evaluation.choices.empty())
        conversation.answer(conversation.list(Evaluation.choices).front());
      Maker.texts(conversation, key, 0, Data, index, Numbers);
    }
  }

private:
  static void checkClip(const ClipSource &clip, const Record &record) {
    std::error_code error;
    if (!std::filesystem::exists(clip.Path, error))
      throw SampleError(fmt::format("{}: record {}: its media `{}` is not there", record.file(), record.number(), clip.Path));
    spanOf(record);
  }

  void readRecords() {
    FirstRow.push_back(0);
    Record record;
    for (uint64_t index = 0; index < Data.size(); ++index) {
      Data.read(index, record);
      Conversation conversation(record, TurnChoice::All,
                                Draws(Options.seed, Purpose::Turn, index, 0));
      EvaluationRecord entry;
      entry.name = Data.name(index);
      if (Maker.clips())
        entry.name = Data.media(index, record).Path;
      if (!Evaluation.group.empty())
        entry.group = conversation.value(Evaluation.group, conversation.lastTurn());
      entry.candidates = 1;
      if (!Evaluation.choices.empty())
        readChoices(conversation, entry);
      FirstRow.push_back(FirstRow.back() + entry.candidates);
      Records.push_back(std::move(entry));
    }
  }

  void readChoices(const Conversation &conversation, EvaluationRecord &entry) const {
    std::vector<std::string> choices = conversation.list(Evaluation.choices);
    if (choices.empty())
      conversation.record().fail(Evaluation.choices, "an empty list", "at least one candidate");
    entry.candidates = static_cast<int64_t>(choices.size());
    if (Evaluation.answer.empty())
      return;
    std::string answer = conversation.value(Evaluation.answer, conversation.lastTurn());
    auto found = std::find(choices.begin(), choices.end(), answer);
    if (found == choices.end())
      conversation.record().fail(Evaluation.answer, fmt::format("`{}`", answer),
                                 fmt::format("one of its candidates {}", fmt::join(choices, ", ")));
    entry.answer = found - choices.begin();
  }

  /// The record that holds a row.
  int64_t recordOf(int64_t row) const {
    return std::upper_bound(FirstRow.begin(), FirstRow.end(), row) - FirstRow.begin() - 1;
  }
  int64_t firstRecord(int64_t batch) const { return recordOf(batch * Rows); }
  int64_t lastRecord(int64_t batch) const {
    return recordOf(std::min((batch + 1) * Rows, FirstRow.back()) - 1);
  }

  uint64_t clipOf(uint64_t index) const {
    if (Evaluation.media != "shuffled")
      return index;
    return Cycle.at((Cycle.inverse(index) + 1) % Data.size());
  }

  std::unique_ptr<RecordRows> make(int64_t batch, int64_t index) const {
    auto out = std::make_unique<RecordRows>();
    thread_local Record record;
    DrawKey key{Options.seed, static_cast<uint64_t>(index), 0};
    Data.read(index, record);
    Conversation conversation(record, TurnChoice::All, key.draws(Purpose::Turn));
    int64_t begin = std::max(batch * Rows, FirstRow[index]),
            end = std::min((batch + 1) * Rows, FirstRow[index + 1]);
    std::vector<std::string> choices;
    if (!Evaluation.choices.empty())
      choices = conversation.list(Evaluation.choices);
    if (Maker.clipFirst()) {
      auto seconds = readClip(index, key, *out);
      if (Maker.namesTimes())
        conversation.times(seconds);
    }
    for (int64_t row = begin; row < end; ++row) {
      if (!choices.empty())
        conversation.answer(choices[row - FirstRow[index]]);
      out->Rows.push_back(Maker.texts(conversation, key, 0, Data, static_cast<uint64_t>(index), Numbers, out->Clips));
    }
    if (Maker.clips() && !Maker.clipFirst())
      readClip(index, key, *out);
    return out;
  }

  /// The clip that record `index` is shown with, and when its frames stand where a text says so.
  std::vector<double> readClip(int64_t index, const DrawKey &key, RecordRows &out) const {
    thread_local Record record;
    uint64_t clip = clipOf(index);
    Data.read(clip, record);
    ClipSource source = Data.media(clip, record);
    out.Pixels.resize(Maker.clips()->bytes());
    Maker.clips()->read(source, key, out.Pixels.data(), spanOf(record));
    out.Clips = Maker.clips()->clips(source);
    return Maker.namesTimes() ? Maker.clips()->times(source, key, spanOf(record)) : std::vector<double>();
  }

  const manifest::Evaluation &Evaluation;
  SampleMaker Maker;
  Datasets Data;
  const Identities Numbers;
  const DataOptions Options;
  const int64_t Rows;
  const Permutation Cycle;
  std::vector<EvaluationRecord> Records;
  std::vector<int64_t> FirstRow;               ///< of each record, and the total
  std::optional<AheadQueue<RecordRows>> Queue; // last: its workers use all of the above
};

} // namespace
} // namespace vcc::runtime::data

namespace vcc::runtime {

std::unique_ptr<EvaluationSource> openEvaluationSource(const manifest::Manifest &manifest,
                                                       const manifest::Stage &,
                                                       const manifest::Evaluation &evaluation,
                                                       const DataOptions &options, report::Log &) {
  return std::make_unique<data::EvaluationBatches>(manifest, evaluation, options);
}

} // namespace vcc::runtime
