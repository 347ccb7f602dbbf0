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

struct MediaSpec {
  int64_t frames = 1, height = 0, width = 0;
  std::string sample = "random";
  std::array<double, 3> mean{0, 0, 0}, std{1, 1, 1};
  bool flip = false;
  std::string crop; // empty: none
  double cacheBytes = 0;
  mlir::Location loc;

  explicit MediaSpec(mlir::Location loc) : loc(loc) {}
};

struct TextSpec {
  std::string name, from, supervise = "all", side = "right";
  mlir::Operation *tokenizer = nullptr;
  mlir::Operation *templ = nullptr; // null: the field is tokenised as it stands
  int64_t maxTokens = 0;
  bool bos = true;
  mlir::Location loc;
  /// Filled when the field is read.
  std::shared_ptr<TextFieldSource> source;

  explicit TextSpec(mlir::Location loc) : loc(loc) {}
};

/// i32 [rows]: the place of a field's value in a list, or, for an identity, a number for each value.
struct LabelSpec {
  std::string name, from;
  std::vector<std::string> of; // empty for an identity
  mlir::Location loc;
  bool read = false;

  explicit LabelSpec(mlir::Location loc) : loc(loc) {}
};

struct BatchSpec {
  int64_t rows = 0;
  std::vector<vcs::DatasetOp> datasets;
  std::optional<MediaSpec> media;
  bool mediaRead = false;
  std::vector<TextSpec> texts;
  std::vector<LabelSpec> labels;
  int64_t accumulate = 1;
  std::string turn = "all"; // of a dialogue with several: all of them, or one at random
  mlir::Location loc;

  explicit BatchSpec(mlir::Location loc) : loc(loc) {}
  /// A copy in which nothing has been read yet.
  BatchSpec fresh() const;
  /// The value of `vcs.input "name"`; an input of the function being traced.
  FailureOr<Value> input(Evaluator &evaluator, StringRef name, mlir::Location loc);
  std::vector<std::string> names() const;
};

FailureOr<BatchSpec> readBatch(Evaluator &evaluator, vcs::BatchOp op);

/// The options of a region by name, each evaluated; `known` lists what may be said.
class Options {
public:
  static FailureOr<Options> read(Evaluator &evaluator, mlir::Region &region, StringRef owner,
                                 const std::vector<std::string> &known,
                                 const std::vector<std::string> &lazy = {});
  const Value *find(StringRef name) const;
  mlir::Location loc(StringRef name) const;
  /// The option, or `otherwise`; a fault if it is of another type.
  FailureOr<int64_t> integer(StringRef name, int64_t otherwise) const;
  FailureOr<double> number(StringRef name, double otherwise) const;
  FailureOr<bool> flag(StringRef name, bool otherwise) const;
  /// A bare word or a string.
  FailureOr<std::string> word(StringRef name, std::string otherwise) const;
  std::vector<std::pair<std::string, Value>> entries;

private:
  Evaluator *evaluator = nullptr;
  llvm::StringMap<mlir::Location> places;
  std::optional<mlir::Location> whole;
};

} // namespace vcc::elaborate

#endif
