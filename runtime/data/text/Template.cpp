// SPDX-License-Identifier: Apache-2.0
//
// Parsing and rendering of dialogue templates.
#include "runtime/data/text/Template.h"
#include "runtime/data/SampleError.h"

#include <algorithm>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

bool isNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

/// The name in braces at the start of `text`, empty where there is none.
std::string_view nameAt(std::string_view text) {
  if (text.empty() || text[0] != '{')
    return {};
  size_t end = 1;
  while (end < text.size() && isNameCharacter(text[end]))
    ++end;
  return end > 1 && end < text.size() && text[end] == '}' ? text.substr(1, end - 1)
                                                          : std::string_view();
}

/// The longest control token at the start of `text`.
const std::pair<std::string, int32_t> *controlAt(std::string_view text,
                                                 const Tokenizer &tokenizer) {
  const std::pair<std::string, int32_t> *best = nullptr;
  for (const auto &control : tokenizer.controls())
    if (text.substr(0, control.first.size()) == control.first &&
        (!best || control.first.size() > best->first.size()))
      best = &control;
  return best;
}

std::string_view trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos)
    return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

/// In a segment that is repeated for every turn, the first one holds the visual positions.
void placeVisual(Tokens &out) {
  if (out.VisualAt < 0)
    out.VisualAt = static_cast<int64_t>(out.Ids.size());
}

bool isTurnRole(const std::string &role) { return role == "user" || role == "assistant"; }

} // namespace

Template::Template(const manifest::Template &declared, const Tokenizer &tokenizer)
    : Name(declared.name), Words(tokenizer), Prompts(declared.prompts) {
  for (const manifest::Segment &segment : declared.segments)
    Segments.push_back(parse(segment));
}

Template::Segment Template::parse(const manifest::Segment &declared) {
  static const std::vector<std::string> roles = {"system", "media", "user", "assistant", "end"};
  if (std::find(roles.begin(), roles.end(), declared.role) == roles.end())
    throw Failure(Exit::Internal,
                  fmt::format("template `{}` has a segment `{}`; segments are system, media, user, "
                              "assistant and end",
                              Name, declared.role));
  Segment segment{declared.role, {}, {}};
  bool assistant = declared.role == "assistant", answering = false, fresh = true;
  auto openText = [&]() -> Part & {
    if (fresh) {
      segment.Parts.emplace_back();
      segment.Parts.back().Answer = answering;
      fresh = false;
    }
    return segment.Parts.back();
  };
  auto single = [&](Part part) {
    part.Answer = answering;
    segment.Parts.push_back(std::move(part));
    fresh = true;
  };
  for (std::string_view rest = declared.text; !rest.empty();) {
    std::string_view name = nameAt(rest);
    if (name == "visual") {
      if (HasVisual)
        throw Failure(Exit::Internal, fmt::format("template `{}` has `{{visual}}` twice", Name));
      HasVisual = true;
      single({Part::Kind::Visual, {}, -1, false});
    } else if (name == "a") {
      answering = answering || assistant;
      fresh = true;
      openText().Pieces.emplace_back(true, "a");
      fresh = true;
    } else if (!name.empty()) {
      // In an assistant segment the text or caption of a record is its answer.
      if (assistant && (name == "caption" || name == "text")) {
        answering = fresh = true;
        openText().Pieces.emplace_back(true, name);
        fresh = true;
      } else {
        openText().Pieces.emplace_back(true, name);
        segment.Names.emplace_back(name);
      }
    } else if (const auto *control = controlAt(rest, Words)) {
      single({Part::Kind::Control, {}, control->second, false});
      rest.remove_prefix(control->first.size());
      continue;
    } else {
      auto &pieces = openText().Pieces;
      if (pieces.empty() || pieces.back().first)
        pieces.emplace_back(false, "");
      pieces.back().second += rest[0];
      rest.remove_prefix(1);
      continue;
    }
    rest.remove_prefix(name.size() + 2);
  }
  return segment;
}

std::string Template::valueOf(const std::string &name, const Segment &segment,
                              const Conversation &conversation, size_t turn,
                              const std::string &prompt) const {
  if (name == "q" && conversation.needsPrompt())
    return prompt;
  if (segment.Role == "assistant" && (name == "caption" || name == "text"))
    return conversation.value("a", turn);
  return conversation.value(name, turn);
}

void Template::renderSegment(const Segment &segment, const Conversation &conversation, size_t turn,
                             const std::string &prompt, Supervise supervise, Tokens &out) const {
  // A turn without a question, a record without an instruction: the segment that only frames it is
  // left out.
  bool empty = !segment.Names.empty();
  for (const std::string &name : segment.Names)
    empty = empty && valueOf(name, segment, conversation, turn, prompt).empty();
  if (empty && segment.Role != "assistant") {
    for (const Part &part : segment.Parts)
      if (part.What == Part::Kind::Visual)
        placeVisual(out);
    return;
  }
  std::vector<int32_t> ids;
  for (const Part &part : segment.Parts) {
    bool supervised = supervise == Supervise::All ||
                      (supervise == Supervise::Assistant && (part.Answer || segment.Role == "end"));
    if (part.What == Part::Kind::Visual) {
      placeVisual(out);
      continue;
    }
    if (part.What == Part::Kind::Control) {
      out.add(part.Id, supervised);
      continue;
    }
    std::string text;
    for (const auto &[isName, piece] : part.Pieces)
      text += isName ? valueOf(piece, segment, conversation, turn, prompt) : piece;
    ids.clear();
    Words.encode(trimmed(text), ids);
    for (int32_t id : ids)
      out.add(id, supervised);
  }
}

Tokens Template::render(const Conversation &conversation, Supervise supervise, Draws draws) const {
  if (conversation.turns().empty())
    throw SampleError(fmt::format(
        "{}: record {}: has neither turns nor a caption nor a text, of which template `{}` "
        "needs one",
        conversation.record().file(), conversation.record().number(), Name));
  std::string prompt = Prompts.empty() ? "" : Prompts[draws.below(Prompts.size())];
  Tokens out;
  for (size_t i = 0; i < Segments.size();) {
    size_t end = i;
    while (end < Segments.size() && isTurnRole(Segments[end].Role))
      ++end;
    if (end == i) {
      renderSegment(Segments[i], conversation,
                    Segments[i].Role == "end" ? conversation.lastTurn() : 0, prompt, supervise,
                    out);
      ++i;
      continue;
    }
    for (size_t turn = 0; turn < conversation.turns().size(); ++turn)
      for (size_t s = i; s < end; ++s)
        renderSegment(Segments[s], conversation, turn, prompt, supervise, out);
    i = end;
  }
  return out;
}

} // namespace vcc::runtime::data
