// SPDX-License-Identifier: Apache-2.0
//
// Conversations from records.
#include "runtime/data/text/Conversation.h"

#include <fmt/format.h>
#include <numeric>

namespace vcc::runtime::data {

Conversation::Conversation(const Record &record, TurnChoice choice, Draws draws) : Source(record) {
  Turns = record.turns();
  Places.resize(Turns.size());
  std::iota(Places.begin(), Places.end(), size_t(0));
  if (choice == TurnChoice::One && !Turns.empty())
    Places = {draws.below(Turns.size())};
  if (choice == TurnChoice::Shuffled)
    for (size_t i = Places.size(); i > 1; --i)
      std::swap(Places[i - 1], Places[draws.below(i)]);
  std::vector<Turn> all = std::move(Turns);
  Turns.clear();
  for (size_t place : Places)
    Turns.push_back(all[place]);
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
  if (Places.empty()) {
    if (Caption)
      Caption = candidate;
    else if (Text)
      Text = candidate;
  }
}

std::optional<size_t> Conversation::recordTurn(size_t turn) const {
  return turn < Places.size() ? std::optional<size_t>(Places[turn]) : std::nullopt;
}

void Conversation::times(const std::vector<double> &seconds) {
  Frames = fmt::format("{}", seconds.size());
  Seconds.emplace();
  for (double second : seconds)
    *Seconds += fmt::format("{}{:.1f}", Seconds->empty() ? "" : ", ", second);
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
  if (name == "frames" && Frames)
    return *Frames;
  if (name == "seconds" && Seconds)
    return *Seconds;
  return Source.field(name, recordTurn(turn));
}

std::vector<std::string> Conversation::list(const std::string &name) const {
  return Source.fields(name, recordTurn(lastTurn()));
}

} // namespace vcc::runtime::data
