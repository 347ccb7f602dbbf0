// SPDX-License-Identifier: Apache-2.0
//
// Parsing and rendering of dialogue templates.
#include "runtime/data/text/Template.h"
#include "runtime/data/SampleError.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace vcc::runtime::data {
namespace {

bool isNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

/// A name in braces at the start of `text`, `{q}` or `{q?}`; empty where there is none. `size` is
/// what it takes of the text.
std::string_view nameAt(std::string_view text, bool &optional, size_t &size) {
  if (text.empty() || text[0] != '{')
    return {};
  size_t end = 1;
  while (end < text.size() && isNameCharacter(text[end]))
    ++end;
  optional = end < text.size() && text[end] == '?';
  size = end + optional + 1;
  bool closed = size <= text.size() && text[size - 1] == '}';
  return end > 1 && closed ? text.substr(1, end - 1) : std::string_view();
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

bool isTurnRole(const std::string &role) {
  return role == "user" || role == "first" || role == "assistant";
}

/// Whether a segment stands in a conversation about this.
bool standsFor(const std::string &role, Shown shown) {
  if (shown == Shown::Nothing)
    return role != "media" && role != "image" && role != "video" && role != "first";
  return role != (shown == Shown::Image ? "video" : "image");
}

std::string_view stripped(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos)
    return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

} // namespace

Template::Template(const manifest::Template &declared, const Tokenizer &tokenizer,
                   Supervise supervise, Spaces spaces, Shown shown)
    : Name(declared.name), Words(tokenizer), Mode(supervise), Spacing(spaces),
      Prompts(shown == Shown::Image && !declared.imagePrompts.empty() ? declared.imagePrompts : declared.prompts) {
  for (const manifest::Segment &segment : declared.segments)
    if (standsFor(segment.role, shown))
      Segments.push_back(parse(segment));
    else if (shown == Shown::Nothing)
      LacksMedia = LacksMedia || segment.text.find("{visual}") != std::string::npos;
  for (const Segment &segment : Segments)
    HasFirst = HasFirst || segment.Role == "first";
}

Template::Piece Template::namePiece(std::string name, bool optional, bool assistant,
                                    bool &answering, Segment &segment) {
  Piece piece{Piece::Kind::Name, name};
  // In an assistant segment the text or caption of a record is its answer.
  piece.AnswerItself = name == "a" || (assistant && (name == "caption" || name == "text"));
  if (piece.AnswerItself)
    answering = answering || assistant;
  else if (!optional)
    segment.Names.push_back(name);
  NamesTimes = NamesTimes || name == "frames" || name == "seconds";
  return piece;
}

Template::Segment Template::parse(const manifest::Segment &declared) {
  static const std::vector<std::string> roles = {"system", "media", "image",     "video",
                                                 "first",  "user",  "assistant", "end"};
  if (std::find(roles.begin(), roles.end(), declared.role) == roles.end())
    throw Failure(Exit::Internal, fmt::format("template `{}` has a segment `{}`; segments are {}",
                                              Name, declared.role, fmt::join(roles, ", ")));
  Segment segment{declared.role, {}, {}};
  bool assistant = declared.role == "assistant", answering = declared.role == "end";
  auto put = [&](Piece piece) {
    piece.Answer = answering;
    segment.Pieces.push_back(std::move(piece));
  };
  for (std::string_view rest = declared.text; !rest.empty();) {
    bool optional = false;
    size_t size = 0;
    std::string_view name = nameAt(rest, optional, size);
    if (name == "visual") {
      if (HasVisual)
        throw Failure(Exit::Recipe, fmt::format("template `{}` has `{{visual}}` twice", Name));
      HasVisual = true;
      put({Piece::Kind::Visual, ""});
    } else if (!name.empty()) {
      Piece piece = namePiece(std::string(name), optional, assistant, answering, segment);
      put(std::move(piece));
    } else if (rest.substr(0, 3) == "{|}") {
      put({Piece::Kind::Apart, ""});
      size = 3;
    } else if (const auto *control = controlAt(rest, Words)) {
      put({Piece::Kind::Control, control->first, control->second});
      size = control->first.size();
    } else {
      bool goesOn = !segment.Pieces.empty() && segment.Pieces.back().What == Piece::Kind::Text;
      if (!goesOn)
        put({Piece::Kind::Text, ""});
      segment.Pieces.back().Text += rest[0];
      size = 1;
    }
    rest.remove_prefix(size);
  }
  return segment;
}

bool Template::supervised(const Segment &segment, const Piece &piece) const {
  switch (Mode) {
  case Supervise::All:
    return true;
  case Supervise::None:
    return false;
  case Supervise::Assistant:
    return piece.Answer;
  case Supervise::Answer:
    return piece.Answer && piece.AnswerItself;
  case Supervise::Roles:
    return segment.Role == "assistant" || segment.Role == "end" ||
           (isTurnRole(segment.Role) && piece.What != Piece::Kind::Name);
  }
  return false;
}

/// Values stand without white space at their ends: the template says what stands between them.
std::string Template::valueOf(const std::string &name, const Segment &segment,
                              const Conversation &conversation, size_t turn,
                              const std::string &prompt) const {
  if (name == "q" && conversation.needsPrompt())
    return prompt;
  bool answer = segment.Role == "assistant" && (name == "caption" || name == "text");
  return std::string(stripped(conversation.value(answer ? "a" : name, turn)));
}

void Template::renderSegment(const Segment &segment, const Conversation &conversation, size_t turn,
                             const std::string &prompt, std::vector<Chunk> &out) const {
  // A turn without a question, a record without an instruction: the segment that only frames it is
  // left out, but for the visual positions in it.
  bool empty = !segment.Names.empty() && segment.Role != "assistant";
  for (const std::string &name : segment.Names)
    empty = empty && valueOf(name, segment, conversation, turn, prompt).empty();
  bool fresh = true, apart = false;
  for (const Piece &piece : segment.Pieces) {
    if (piece.What == Piece::Kind::Visual) {
      // In a segment that is repeated for every turn, the first one holds the visual positions.
      bool placed = std::any_of(out.begin(), out.end(),
                                [](const Chunk &chunk) { return chunk.What == Chunk::Kind::Visual; });
      if (!placed)
        out.push_back({Chunk::Kind::Visual, "", -1, false, false, false});
      fresh = true;
    }
    if (empty || piece.What == Piece::Kind::Visual)
      continue;
    bool trained = supervised(segment, piece);
    if (piece.What == Piece::Kind::Control) {
      out.push_back({Chunk::Kind::Control, piece.Text, piece.Id, trained, piece.Answer, false});
      fresh = true;
      continue;
    }
    if (piece.What == Piece::Kind::Apart) {
      fresh = apart = true;
      continue;
    }
    std::string text = piece.What == Piece::Kind::Name
                           ? valueOf(piece.Text, segment, conversation, turn, prompt)
                           : piece.Text;
    // The answer is tokenised apart from what stands around it.
    fresh = fresh || piece.AnswerItself || out.back().Supervised != trained ||
            out.back().Answer != piece.Answer;
    if (fresh)
      out.push_back({Chunk::Kind::Text, std::move(text), -1, trained, piece.Answer, apart});
    else
      out.back().Text += text;
    fresh = piece.AnswerItself;
    apart = false;
  }
}

std::vector<Template::Chunk> Template::chunks(const Conversation &conversation, Draws draws) const {
  if (conversation.turns().empty())
    throw SampleError(fmt::format(
        "{}: record {}: has neither turns nor a caption nor a text, of which template `{}` "
        "needs one",
        conversation.record().file(), conversation.record().number(), Name));
  if (auto media = LacksMedia ? conversation.record().media() : std::nullopt)
    throw SampleError(fmt::format("{}: record {}: is about `{}`, but its rows are of text alone",
                                  conversation.record().file(), conversation.record().number(), *media));
  std::string prompt = Prompts.empty() ? "" : Prompts[draws.below(Prompts.size())];
  std::vector<Chunk> out;
  for (size_t i = 0; i < Segments.size();) {
    size_t end = i;
    while (end < Segments.size() && isTurnRole(Segments[end].Role))
      ++end;
    if (end == i) {
      renderSegment(Segments[i], conversation,
                    Segments[i].Role == "end" ? conversation.lastTurn() : 0, prompt, out);
      ++i;
      continue;
    }
    for (size_t turn = 0; turn < conversation.turns().size(); ++turn)
      for (size_t s = i; s < end; ++s)
        if (Segments[s].Role == "assistant" ||
            (Segments[s].Role == "first") == (HasFirst && turn == 0))
          renderSegment(Segments[s], conversation, turn, prompt, out);
    i = end;
  }
  // A conversation does not end in white space.
  while (!out.empty() && out.back().What == Chunk::Kind::Text) {
    std::string &last = out.back().Text;
    last.resize(last.find_last_not_of(" \t\r\n") + 1);
    if (!last.empty())
      break;
    out.pop_back();
  }
  return out;
}

/// `kept`: the chunks of one string, in which supervision changes at spaces. One space goes away at
/// such a place, where the tokenizer's own leading space stands for it; more belong to the chunk
/// after it.
static void divideAtSpaces(std::vector<std::string> &run) {
  for (size_t i = 0; i + 1 < run.size(); ++i) {
    size_t kept = run[i].find_last_not_of(' ') + 1, before = run[i].size() - kept;
    size_t after = std::min(run[i + 1].find_first_not_of(' '), run[i + 1].size());
    run[i].resize(kept);
    if (before + after > 0)
      run[i + 1].replace(0, after, before + after - 1, ' ');
  }
}

Tokens Template::render(const Conversation &conversation, Draws draws) const {
  std::vector<Chunk> all = chunks(conversation, draws);
  Tokens out;
  std::vector<int32_t> ids;
  auto encode = [&](std::string_view text, const Chunk &chunk) {
    if (text.empty())
      return;
    ids.clear();
    Words.encode(text, ids);
    for (int32_t id : ids)
      out.add(id, chunk.Supervised, chunk.Answer);
  };
  for (size_t i = 0; i < all.size();) {
    const Chunk &first = all[i];
    if (first.What == Chunk::Kind::Visual)
      out.VisualAt = static_cast<int64_t>(out.Ids.size());
    if (first.What == Chunk::Kind::Control)
      out.add(first.Id, first.Supervised, first.Answer);
    if (first.What != Chunk::Kind::Text) {
      ++i;
      continue;
    }
    // The chunks of one string, those of one supervision joined.
    std::vector<const Chunk *> owners;
    std::vector<std::string> run;
    for (size_t begin = i; i < all.size() && all[i].What == Chunk::Kind::Text; ++i) {
      if (i > begin && (all[i].Apart || Spacing == Spaces::Trimmed))
        break;
      bool joins = !owners.empty() && owners.back()->Supervised == all[i].Supervised &&
                   owners.back()->Answer == all[i].Answer;
      if (joins) {
        run.back() += all[i].Text;
        continue;
      }
      // Spaces alone go with what follows them.
      bool blank = !run.empty() && run.back().find_first_not_of(' ') == std::string::npos;
      if (blank) {
        owners.back() = &all[i];
        run.back() += all[i].Text;
        continue;
      }
      owners.push_back(&all[i]);
      run.push_back(all[i].Text);
    }
    bool eaten = &first != all.data() && (&first)[-1].What == Chunk::Kind::Control &&
                 Words.controlsTakeSpace();
    if (eaten)
      run[0].erase(0, std::min(run[0].find_first_not_of(" \t\r\n"), run[0].size()));
    divideAtSpaces(run);
    for (size_t k = 0; k < run.size(); ++k)
      encode(Spacing == Spaces::Trimmed ? trimmed(run[k]) : std::string_view(run[k]), *owners[k]);
  }
  return out;
}

std::string Template::text(const Conversation &conversation, Draws draws) const {
  std::string out;
  for (const Chunk &chunk : chunks(conversation, draws))
    out += chunk.Text;
  return out;
}

} // namespace vcc::runtime::data
