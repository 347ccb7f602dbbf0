// SPDX-License-Identifier: Apache-2.0
//
// Makes the rows of a batch from records: pixels, text fields, labels. What training and evaluation
// have in common.
#ifndef VCC_RUNTIME_DATA_BATCHES_SAMPLEMAKER_H
#define VCC_RUNTIME_DATA_BATCHES_SAMPLEMAKER_H

#include "runtime/data/batches/Identities.h"
#include "runtime/data/media/ClipReader.h"
#include "runtime/data/text/TextField.h"
#include "runtime/loop/BatchSource.h"

namespace vcc::runtime::data {

/// The texts and labels (identities among them) of one row, in the order of the batch's fields, and
/// which sample it is: among all of the stage, and in its dataset.
struct RowTexts {
  std::vector<TextRow> Texts;
  std::vector<int32_t> Labels;
  int32_t Id = -1, LocalId = -1;
};

/// The seconds that a record means, for its clip.
std::optional<TimeSpan> spanOf(const Record &record);

class SampleMaker {
public:
  /// An evaluation sees each clip in one way: `evaluating` turns random choices into the middle
  /// ones.
  SampleMaker(const manifest::Manifest &manifest, const manifest::Batch &batch,
              const std::string &dir, bool evaluating, bool still = false);

  const manifest::Batch &batch() const { return Batch; }
  const ClipReader *clips() const { return Clips.get(); }
  TurnChoice turnChoice() const { return Choice; }
  /// A text says when the frames stand.
  bool namesTimes() const;
  /// The clip is read before the text is made: its frames' times stand there, or places for as many tiles as it has.
  bool clipFirst() const;
  /// The place of a text field in RowTexts::Texts.
  size_t textOf(const std::string &field) const;
  /// Record `index` of `data` as said by `conversation`; `first` is the place of the micro-batch's first
  /// sample, of all ranks; `clips` is how many the record's file becomes. Throws SampleError naming the record's fault.
  RowTexts texts(const Conversation &conversation, const DrawKey &key, uint64_t first,
                 const Datasets &data, uint64_t index, const Identities &identities, uint32_t clips = 1) const;

private:
  struct Label {
    const manifest::Field *Declared;
    int32_t number(const Conversation &conversation, const Identities &identities) const;
  };

  const manifest::Batch &Batch;
  TurnChoice Choice;
  std::map<std::string, std::unique_ptr<Tokenizer>> Tokenizers;
  std::vector<std::unique_ptr<TextField>> Texts;
  std::vector<Label> Labels;
  std::unique_ptr<ClipReader> Clips;
};

/// Writes rows into a function's inputs; every name of `destination` must be one that the batch
/// has.
class BatchWriter {
public:
  /// `batch` is the variant whose inputs are written, `made` the batch that the rows were made for:
  /// it has all of the variant's fields, and its texts are at least as long.
  BatchWriter(const manifest::Batch &batch, const manifest::Batch &made, const HostTensors &destination);
  BatchWriter(const manifest::Batch &batch, const HostTensors &destination)
      : BatchWriter(batch, batch, destination) {}

  /// All rows of the fields that hold several samples each; before any row().
  void packedTexts(const std::vector<const RowTexts *> &samples);
  /// `pixels` of the row's `clips`; may be null where the batch has none. Rows come in order.
  void row(int64_t row, const RowTexts &texts, const uint8_t *pixels, uint32_t clips = 1);
  /// A row that nobody reads: zeros, padding that is not supervised.
  void emptyRow(int64_t row, const RowTexts &like);
  /// After the last row: clips that no row has are black, and the first row's. How many there are.
  int64_t emptyClips();
  /// The totals of the whole step: supervised targets by text field, and samples.
  void totals(const std::map<std::string, int64_t> &supervised, int64_t samples);

private:
  template <typename T>
  T *find(const std::string &name, DType type, int64_t elements);

  /// `Cut` positions of padding are left out before a row, which has `Positions` then.
  struct TextTensors {
    std::string Name;
    size_t From; // in the rows' texts
    int32_t *Ids, *Labels, *Length, *At, *Targets, *Starts = nullptr;
    float *Supervised;
    int64_t Positions, VisualOfClip, MaxTokens, Cut;
    const manifest::Field *Packed = nullptr; // of several samples a row
  };
  void packedText(const TextTensors &to, const std::vector<const TextRow *> &samples);
  int64_t Rows, Clips = 0, ClipsOfRow = 1, ClipBytes = 0;
  int64_t NextClip = 0; ///< that no row has taken yet
  bool Tiled = false;
  const HostTensors &Destination;
  std::vector<std::string> Known;
  std::vector<TextTensors> Texts;
  std::vector<std::pair<size_t, int32_t *>> Labels; // and their place in the rows' labels
  uint8_t *Pixels = nullptr;
  int32_t *Ids = nullptr, *LocalIds = nullptr, *ClipRows = nullptr, *ClipPlaces = nullptr;
  float *Samples = nullptr;
};

} // namespace vcc::runtime::data
#endif
