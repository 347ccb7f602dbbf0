// SPDX-License-Identifier: Apache-2.0
//
// What a sample says, apart from any tokenizer: the turns taken from one record (a caption or a
// plain text being one turn without a question), and the values that the names of a recipe (`i`,
// `q`, `a`, `caption`, a field) stand for.
#ifndef VCC_RUNTIME_DATA_TEXT_CONVERSATION_H
#define VCC_RUNTIME_DATA_TEXT_CONVERSATION_H

#include "runtime/data/annotations/Records.h"
#include "runtime/data/batches/Draws.h"

namespace vcc::runtime::data {

/// Which turns of a record a sample holds: all in their order, all in any order, or one of them.
enum class TurnChoice { All, Shuffled, One };

class Conversation {
public:
  /// `draws` decides between several captions and, for TurnChoice::One, between turns. The record
  /// must outlive this.
  Conversation(const Record &record, TurnChoice choice, Draws draws);

  const Record &record() const { return Source; }
  const std::vector<Turn> &turns() const { return Turns; }
  /// The turns have no question of their own; a template puts one of its prompts there.
  bool needsPrompt() const { return Described; }
  /// When the frames of the clip stand, in seconds: what `frames` and `seconds` are made of.
  void times(const std::vector<double> &seconds);
  /// Puts another answer at the end of the conversation: a candidate of an evaluation.
  void answer(const std::string &candidate);

  /// The value of a name in the turn `turn` (i, q, a) or in the record (caption, text, any field).
  std::string value(const std::string &name, size_t turn) const;
  /// The list of strings under a name of the record, or of the last turn.
  std::vector<std::string> list(const std::string &name) const;
  size_t lastTurn() const { return Turns.empty() ? 0 : Turns.size() - 1; }

private:
  std::optional<size_t> recordTurn(size_t turn) const;

  const Record &Source;
  std::vector<Turn> Turns;
  std::vector<size_t> Places; ///< of Turns in the record; empty: they are not turns of it
  std::optional<std::string> Caption, Text, Frames, Seconds;
  bool Described = false;
};

} // namespace vcc::runtime::data
#endif
