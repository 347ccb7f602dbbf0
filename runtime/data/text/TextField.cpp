// SPDX-License-Identifier: Apache-2.0
//
// Text fields: templated or plain text to a fixed number of positions. Only text is cut at
// `max_tokens`, at its end; visual positions count apart and are all kept.
#include "runtime/data/text/TextField.h"

#include "runtime/data/SampleError.h"
#include "runtime/program/Failure.h"

#include <algorithm>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

Supervise superviseOf(const manifest::Field &field) {
  if (field.supervise == "none")
    return Supervise::None;
  // A plain text has no assistant: all of it is what there is to learn.
  if (field.supervise == "all" ||
      (field.supervise == "assistant" && field.kind == manifest::Field::Kind::Text))
    return Supervise::All;
  if (field.supervise == "assistant")
    return Supervise::Assistant;
  if (field.supervise == "answer")
    return Supervise::Answer;
  if (field.supervise == "roles")
    return Supervise::Roles;
  throw Failure(Exit::Internal,
                fmt::format("field `{}`: `supervise: {}` is none of assistant, answer, roles, all, none",
                            field.name, field.supervise));
}

} // namespace

TextField::TextField(const manifest::Field &declared, const manifest::Template *pattern,
                     const Tokenizer &words, Shown shown)
    : Declared(declared), Words(words), Mode(superviseOf(declared)) {
  if (pattern)
    Pattern.emplace(*pattern, words, Mode,
                    declared.spaces == "kept" ? Spaces::Kept : Spaces::Trimmed, shown);
  if (declared.length != declared.maxTokens + declared.visual)
    throw Failure(Exit::Internal,
                  fmt::format("field `{}` has length {}, but max_tokens {} and {} visual positions",
                              declared.name, declared.length, declared.maxTokens, declared.visual));
  if (declared.side != "right" && declared.side != "left")
    throw Failure(Exit::Internal,
                  fmt::format("field `{}`: padding side `{}` is neither right nor left",
                              declared.name, declared.side));
  if (declared.visual > 0 && Pattern && !Pattern->hasVisual())
    throw Failure(
        Exit::Recipe,
        fmt::format(
            "field `{}` is spliced with {} visual positions, but template `{}` has no `{{visual}}`",
            declared.name, declared.visual, pattern->name),
        "write `{visual}` in one segment of the template");
}

/// The tokens that stand around the text, and the cut: on the side that the recipe says. What stands
/// around is never cut, nor is a begin token that the template itself starts with.
void TextField::frame(Tokens &tokens) const {
  int32_t first = Words.first() >= 0 ? Words.first() : Declared.bos ? Words.begin() : -1;
  int32_t last = Words.last();
  // A template that starts with its own begin token does not get a second one.
  bool own = Words.first() < 0 && Words.begin() >= 0 && !tokens.Ids.empty() &&
             tokens.Ids[0] == Words.begin();
  if (own)
    first = -1;
  int64_t room = std::max<int64_t>(Declared.maxTokens - (first >= 0) - (last >= 0), 0);
  int64_t count = static_cast<int64_t>(tokens.Ids.size());
  int64_t from = Declared.cut == "left" ? std::min<int64_t>(own, room) : room;
  int64_t gone = std::max<int64_t>(count - room, 0);
  auto cut = [&](auto &list) {
    if (gone > 0)
      list.erase(list.begin() + from, list.begin() + from + gone);
  };
  cut(tokens.Ids);
  cut(tokens.Supervised);
  cut(tokens.Answer);
  // The visual positions stay between the words that they stood between; where these are cut away,
  // at the cut.
  if (tokens.VisualAt > from)
    tokens.VisualAt = std::max(tokens.VisualAt - gone, from);
  bool supervised = Mode == Supervise::All;
  if (first >= 0) {
    tokens.Ids.insert(tokens.Ids.begin(), first);
    tokens.Supervised.insert(tokens.Supervised.begin(), supervised);
    tokens.VisualAt += tokens.VisualAt >= 0;
  }
  if (last >= 0)
    tokens.add(last, supervised);
}

Tokens TextField::plain(const Conversation &conversation) const {
  std::vector<int32_t> ids;
  // Of several turns the first asks; the last one holds the answer that an evaluation puts there.
  Words.encode(
      conversation.value(Declared.from, Declared.from == "a" ? conversation.lastTurn() : 0), ids);
  Tokens out;
  for (int32_t id : ids)
    out.add(id, Mode == Supervise::All);
  frame(out);
  out.VisualAt = 0;
  return out;
}

/// Keeps `answer_tokens` of what is answered.
void TextField::cutAnswer(Tokens &tokens) const {
  if (Declared.answerTokens <= 0)
    return;
  int64_t seen = 0;
  for (size_t i = 0; i < tokens.Ids.size();) {
    seen += tokens.Answer[i];
    if (!tokens.Answer[i] || seen <= Declared.answerTokens) {
      ++i;
      continue;
    }
    tokens.Ids.erase(tokens.Ids.begin() + i);
    tokens.Supervised.erase(tokens.Supervised.begin() + i);
    tokens.Answer.erase(tokens.Answer.begin() + i);
    tokens.VisualAt -= tokens.VisualAt > static_cast<int64_t>(i);
  }
}

Tokens TextField::templated(const Conversation &conversation, Draws draws) const {
  Tokens tokens = Pattern->render(conversation, draws);
  cutAnswer(tokens);
  frame(tokens);
  bool trains = Mode != Supervise::None && Mode != Supervise::All;
  // Markers of roles and the end say nothing where no answer stands before them.
  auto spoken = [](const Turn &turn) { return turn.Answer.find_first_not_of(" \t\r\n") != std::string::npos; };
  bool answered = std::any_of(conversation.turns().begin(), conversation.turns().end(), spoken);
  bool left = false;
  for (size_t i = 0; i < tokens.Ids.size(); ++i)
    left |= tokens.Supervised[i] && tokens.Answer[i];
  if (trains && !(answered && left))
    throw SampleError(fmt::format(
        "{}: record {}: nothing of it is left to train on: its answers are empty or begin after "
        "`max_tokens: {}` of `{}`",
        conversation.record().file(), conversation.record().number(), Declared.maxTokens,
        Declared.name));
  return tokens;
}

TextRow TextField::place(const Tokens &tokens, int64_t visual) const {
  int64_t text = std::min<int64_t>(static_cast<int64_t>(tokens.Ids.size()), Declared.maxTokens);
  int64_t before = visual > 0 ? std::min(tokens.VisualAt, text) : text;
  TextRow row;
  row.Padding = Words.padding();
  row.Ids.assign(Declared.length, row.Padding);
  row.Labels.assign(Declared.length, Unsupervised);
  row.Length = static_cast<int32_t>(text + visual);
  row.Tokens = text;
  int64_t start = Declared.side == "left" ? Declared.length - row.Length : 0;
  if (visual > 0)
    row.VisualAt = start + before;
  for (int64_t i = 0; i < text; ++i) {
    int64_t at = start + i + (i < before ? 0 : visual);
    row.Ids[at] = tokens.Ids[i];
    if (tokens.Supervised[i]) {
      row.Labels[at] = tokens.Ids[i];
      row.Supervised += at >= 1;
    }
  }
  return row;
}

TextRow TextField::row(const Conversation &conversation, Draws draws, uint32_t clips) const {
  return place(Pattern ? templated(conversation, draws) : plain(conversation), clips * Declared.visualOfEach());
}

} // namespace vcc::runtime::data
