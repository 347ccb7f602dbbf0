// SPDX-License-Identifier: Apache-2.0
//
// What a batch holds: rows, media, text and label fields. Read once from a stage's `batch` (and
// varied for an evaluation); gives the function being traced its inputs, and the manifest its
// description.
#ifndef VCC_COMPILER_ELABORATE_BATCHES_H
#define VCC_COMPILER_ELABORATE_BATCHES_H

#include "compiler/elaborate/Evaluator.h"
#include "compiler/elaborate/TextFields.h"

namespace vcc::elaborate {

/// Clips that are cut into tiles: of a sample at most `most`, by its shape, and one of the whole where `global`.
struct TileSpec {
  int64_t most = 1;
  bool global = false;
  std::vector<int64_t> totals; // clips in a micro-batch for which a step is compiled, ascending

  int64_t leastOfRow() const { return 1 + global; }
  int64_t mostOfRow() const { return most + global; }
};

struct MediaSpec {
  int64_t frames = 1, height = 0, width = 0;
  std::optional<TileSpec> tiles;
  int64_t clips = 0; // with tiles: in a micro-batch of this variant
  std::string sample = "random";
  std::array<double, 3> mean{0, 0, 0}, std{1, 1, 1};
  bool flip = false;
  std::string crop; // empty: none
  std::string resize = "exact";
  bool antialias = true;
  std::string kind = "any"; // of the files
  std::string fallback = "sample";
  std::array<double, 2> scale{0.5, 1}, ratio{3.0 / 4, 4.0 / 3}; // of a random crop: share of the area, width over height
  double cacheBytes = 0;
  mlir::Location loc;

  explicit MediaSpec(mlir::Location loc) : loc(loc) {}
};

class Options;

struct TextSpec {
  std::string name, from, supervise = "all", side = "right";
  mlir::Operation *tokenizer = nullptr;
  mlir::Operation *templ = nullptr; // null: the field is tokenised as it stands
  int64_t maxTokens = 0; // of a sample
  /// How many samples lie in a row on average, and how many tokens of text a row has room for: with one sample `maxTokens`.
  int64_t pack = 1, rowTokens = 0;
  std::vector<int64_t> buckets; // lengths in ascending order, the last one `rowTokens`; empty: that one alone
  bool bos = true;
  std::string cut = "right", spaces = "trimmed", prompt = "sample"; // as in the manifest
  int64_t answerTokens = 0;
  mlir::Location loc;
  /// Filled when the field is read.
  std::shared_ptr<TextFieldSource> source;

  explicit TextSpec(mlir::Location loc) : loc(loc) {}
  /// One of the buckets.
  void setLength(int64_t length) { rowTokens = length, maxTokens = pack > 1 ? maxTokens : length; }
  /// Every sample in a row of its own.
  void unpack() { pack = 1, rowTokens = maxTokens, buckets.clear(); }
};

/// i32 [rows]: the place of a field's value in a list, or, for an identity, a number for each value.
struct LabelSpec {
  std::string name, from;
  std::vector<std::string> of; // empty for an identity
  mlir::Location loc;
  bool read = false;

  explicit LabelSpec(mlir::Location loc) : loc(loc) {}
};

/// What one step variant is made of: a branch of the stage's batch, and one length of each text field.
struct BatchSpec {
  std::string variant = "main", branch; // no branch: the batch has plain rows
  int64_t rows = 0;
  std::vector<vcs::DatasetOp> datasets;
  std::vector<double> weights; // of the datasets; empty: they are joined
  std::optional<MediaSpec> media;
  bool mediaRead = false;
  std::vector<TextSpec> texts;
  std::vector<LabelSpec> labels;
  std::string turn = "all"; // of a dialogue with several: all of them, one at random, all in random order
  mlir::Location loc;

  explicit BatchSpec(mlir::Location loc) : loc(loc) {}
  /// A copy in which nothing has been read yet.
  BatchSpec fresh() const;
  /// Clips of all rows; 0 without media.
  int64_t clips() const { return !media ? 0 : media->tiles ? media->clips : rows; }
  /// The most clips that one row may have: the others have one each at least.
  int64_t clipsOfRow() const;
  /// The value of `vcs.input "name"`; an input of the function being traced.
  FailureOr<Value> input(Evaluator &evaluator, StringRef name, mlir::Location loc);
  std::vector<std::string> names() const;
  /// The branch and the lengths of those texts that have several and were read: `video.128`.
  std::string name() const;
  /// This one was read: another of its branch with the same lengths of what it read.
  bool sameInputs(const BatchSpec &other) const;
};

/// A stage's batch: its branches with the whole length of every text field, and the step variants that come of them.
struct StageBatch {
  std::vector<BatchSpec> branches, variants;
  int64_t accumulate = 1;
  std::string across = "mixed", rest = "step";
  mlir::Location loc;

  explicit StageBatch(mlir::Location loc) : loc(loc) {}
};

FailureOr<StageBatch> readBatch(Evaluator &evaluator, vcs::BatchOp op);

/// One clause of rows; `batch` has the fields already.
LogicalResult readRows(Evaluator &evaluator, vcs::RowsOp op, BatchSpec &batch);
/// `tiles` of one clause of rows, and what goes with it.
LogicalResult readTiles(Evaluator &evaluator, const Options &options, int64_t rows, MediaSpec &media);
/// The variants of each branch: every combination of its numbers of clips and the lengths of its text fields.
FailureOr<std::vector<BatchSpec>> variantsOf(Evaluator &evaluator, const std::vector<BatchSpec> &branches);

/// The options of a region by name, each evaluated; `known` lists what may be said.
class Options {
public:
  static FailureOr<Options> read(Evaluator &evaluator, mlir::Region &region, StringRef owner,
                                 const std::vector<std::string> &known,
                                 const std::vector<std::string> &lazy = {});
  const Value *find(StringRef name) const;
  mlir::Location loc(StringRef name) const;
  /// What is written at the key; null where nothing is.
  mlir::Value expression(StringRef name) const;
  /// The option, or `otherwise`; a fault if it is of another type.
  FailureOr<int64_t> integer(StringRef name, int64_t otherwise) const;
  FailureOr<double> number(StringRef name, double otherwise) const;
  FailureOr<bool> flag(StringRef name, bool otherwise) const;
  /// A bare word or a string.
  FailureOr<std::string> word(StringRef name, std::string otherwise) const;
  /// A word that must be one of `known`.
  FailureOr<std::string> choice(StringRef name, StringRef otherwise, ArrayRef<const char *> known) const;
  std::vector<std::pair<std::string, Value>> entries;
  /// Says what a key is that is not written; the accessors with a default do so themselves.
  void assume(StringRef name, const Value &value) const;

private:
  Evaluator *evaluator = nullptr;
  mlir::Region *region = nullptr;
  llvm::StringMap<mlir::Location> places;
  std::optional<mlir::Location> whole;
};

/// The choices of a text field: what is trained on, where it is cut, how its template's text is tokenised.
LogicalResult readTextChoices(Evaluator &evaluator, const Options &options, TextSpec &text);

} // namespace vcc::elaborate

#endif
