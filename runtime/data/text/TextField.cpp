// SPDX-License-Identifier: Apache-2.0
//
// Text fields: templated or plain text to a fixed number of positions. Only text is cut at
// `max_tokens`, at its end; visual positions count apart and are all kept.
#include "runtime/data/text/TextField.h"

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
  throw Failure(Exit::Internal,
                fmt::format("field `{}`: `supervise: {}` is none of assistant, all, none",
                            field.name, field.supervise));
}

} // namespace

TextField::TextField(const manifest::Field &declared, const manifest::Template *pattern,
                     const Tokenizer &words)
    : Declared(declared), Words(words), Mode(superviseOf(declared)) {
  if (pattern)
    Pattern.emplace(*pattern, words);
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

Tokens TextField::plain(const Conversation &conversation) const {
  std::vector<int32_t> ids;
  // Of several turns the first asks; the last one holds the answer that an evaluation puts there.
  Words.encode(
      conversation.value(Declared.from, Declared.from == "a" ? conversation.lastTurn() : 0), ids);
  bool supervised = Mode == Supervise::All;
  int32_t first = Words.first() >= 0 ? Words.first() : Declared.bos ? Words.begin() : -1;
  int64_t room = Declared.maxTokens - (first >= 0) - (Words.last() >= 0);
  ids.resize(std::min<int64_t>(static_cast<int64_t>(ids.size()), std::max<int64_t>(room, 0)));
  Tokens out;
  if (first >= 0)
    out.add(first, supervised);
  for (int32_t id : ids)
    out.add(id, supervised);
  if (Words.last() >= 0)
    out.add(Words.last(), supervised);
  out.VisualAt = 0;
  return out;
}

TextRow TextField::place(const Tokens &tokens) const {
  int64_t text = std::min<int64_t>(static_cast<int64_t>(tokens.Ids.size()), Declared.maxTokens);
  int64_t visual = Declared.visual;
  int64_t before = visual > 0 ? std::min(tokens.VisualAt, text) : text;
  TextRow row;
  row.Ids.assign(Declared.length, Words.padding());
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

TextRow TextField::row(const Conversation &conversation, Draws draws) const {
  if (!Pattern)
    return place(plain(conversation));
  Tokens rendered = Pattern->render(conversation, Mode, draws);
  if (Declared.bos && Words.begin() >= 0) {
    rendered.Ids.insert(rendered.Ids.begin(), Words.begin());
    rendered.Supervised.insert(rendered.Supervised.begin(), Mode == Supervise::All);
    if (rendered.VisualAt >= 0)
      ++rendered.VisualAt;
  }
  // A template that starts with its own begin token does not get a second one.
  if (Declared.bos && rendered.Ids.size() > 1 && rendered.Ids[0] == Words.begin() &&
      rendered.Ids[1] == Words.begin()) {
    rendered.Ids.erase(rendered.Ids.begin());
    rendered.Supervised.erase(rendered.Supervised.begin());
    if (rendered.VisualAt > 0)
      --rendered.VisualAt;
  }
  return place(rendered);
}

} // namespace vcc::runtime::data
