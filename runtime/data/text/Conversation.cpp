// SPDX-License-Identifier: Apache-2.0
//
// Conversations from records.
#include "runtime/data/text/Conversation.h"

namespace vcc::runtime::data {

Conversation::Conversation(const Record &record, TurnChoice choice, Draws draws) : Source(record) {
  Turns = record.turns();
  if (!Turns.empty()) {
    FromTurns = true;
    if (choice == TurnChoice::One) {
      FirstTurn = draws.below(Turns.size());
      Turns = {Turns[FirstTurn]};
    }
  }
  std::vector<std::string> captions = record.captions();
  if (!captions.empty())
    Caption = captions[captions.size() == 1 ? 0 : draws.below(captions.size())];
  Text = record.text();
  if (!Turns.empty() || (!Caption && !Text))
    return;
  Described = Caption.has_value();
  Turns.push_back({"", "", Caption ? *Caption : *Text});
}

void Conversation::answer(const std::string &candidate) {
  if (Turns.empty())
    Turns.push_back({});
  Turns.back().Answer = candidate;
  if (!FromTurns) {
    if (Caption)
      Caption = candidate;
    else if (Text)
      Text = candidate;
  }
}

std::optional<size_t> Conversation::recordTurn(size_t turn) const {
  return FromTurns ? std::optional<size_t>(FirstTurn + turn) : std::nullopt;
}

std::string Conversation::value(const std::string &name, size_t turn) const {
  bool known = turn < Turns.size();
  if (known && name == "i")
    return Turns[turn].Instruction;
  if (known && name == "q")
    return Turns[turn].Question;
  if (known && name == "a")
    return Turns[turn].Answer;
  if (name == "caption" && Caption)
    return *Caption;
  if (name == "text" && Text)
    return *Text;
  return Source.field(name, recordTurn(turn));
}

std::vector<std::string> Conversation::list(const std::string &name) const {
  return Source.fields(name, recordTurn(lastTurn()));
}

} // namespace vcc::runtime::data
