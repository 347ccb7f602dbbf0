// SPDX-License-Identifier: Apache-2.0
//
// One text field of a batch: how a conversation becomes a row of ids, labels, length and visual
// places.
#ifndef VCC_RUNTIME_DATA_TEXT_TEXTFIELD_H
#define VCC_RUNTIME_DATA_TEXT_TEXTFIELD_H

#include "runtime/data/text/Template.h"

#include <optional>

namespace vcc::runtime::data {

/// A row as it is written into the tensors, padding included.
struct TextRow {
  std::vector<int32_t> Ids,
      Labels;             ///< `length` of the field; labels are -100 where nothing is supervised
  int64_t VisualAt = -1;  ///< first visual position, -1: none
  int32_t Length = 0;     ///< positions in use, visual ones included
  int64_t Tokens = 0;     ///< of text
  int64_t Supervised = 0; ///< targets after the shift
  int32_t Padding = 0;    ///< the id of what is not in use
};

class TextField {
public:
  static constexpr int32_t Unsupervised = -100;

  /// `words` and `declared` must outlive this. `shown`: what the batch's rows have beside the text.
  TextField(const manifest::Field &declared, const manifest::Template *pattern,
            const Tokenizer &words, Shown shown = Shown::Video);

  const manifest::Field &declared() const { return Declared; }
  bool namesTimes() const { return Pattern && Pattern->namesTimes(); }
  /// With the visual positions of so many clips.
  TextRow row(const Conversation &conversation, Draws draws, uint32_t clips = 1) const;

private:
  Tokens plain(const Conversation &conversation) const;
  Tokens templated(const Conversation &conversation, Draws draws) const;
  void cutAnswer(Tokens &tokens) const;
  void frame(Tokens &tokens) const;
  TextRow place(const Tokens &tokens, int64_t visual) const;

  const manifest::Field &Declared;
  const Tokenizer &Words;
  std::optional<Template> Pattern;
  Supervise Mode;
};

} // namespace vcc::runtime::data
#endif
