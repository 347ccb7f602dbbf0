// SPDX-License-Identifier: Apache-2.0
//
// A text field of a batch as the loss sees it. Its tensors become inputs of the function when they
// are first read, because only then is it known whether visual rows are spliced into it.
#ifndef VCC_COMPILER_ELABORATE_TEXTFIELDS_H
#define VCC_COMPILER_ELABORATE_TEXTFIELDS_H

#include "compiler/elaborate/GraphBuilder.h"

namespace vcc::elaborate {

/// What all views of one field of one batch share.
struct TextFieldSource {
  std::string name;
  int64_t samples = 0, pack = 1; // and how many of them lie in a row on average
  int64_t maxTokens = 0;         // of a row
  int64_t sampleTokens = 0;      // the most that one of them has
  /// Clips whose visual rows may be spliced in: of all samples, and the most that one has.
  int64_t clips = 0, clipsOfRow = 1;
  mlir::Location loc;
  std::optional<IdBound> ids;  // the tokenizer's vocabulary
  bool hasVisualPlace = false; // its template names {visual}
  std::string side = "right";  // where the padding stands
  bool supervisesAll = false;
  /// Visual rows per sample, once something has read the field: 0 without splice.
  std::optional<int64_t> visual;
  std::optional<mlir::Location> readAt;

  int64_t rows() const { return samples / pack; }

  explicit TextFieldSource(mlir::Location loc) : loc(loc) {}
};

struct TextField {
  std::shared_ptr<TextFieldSource> source;
  /// The visual rows of a spliced field, Q of each clip: [clips, Q, W].
  std::optional<Tensor> visual;

  int64_t visualRows() const { return visual ? visual->dim(1) * source->clipsOfRow : 0; }
  int64_t length() const { return source->maxTokens + source->pack * visualRows(); }
};

} // namespace vcc::elaborate

#endif
