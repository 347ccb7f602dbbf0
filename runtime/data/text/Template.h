// SPDX-License-Identifier: Apache-2.0
//
// A dialogue template, parsed for one tokenizer. A rendered conversation is a row of chunks: text
// with one supervision, a control token that the template names (`</s>`), the visual positions.
// Text from records never yields a control token.
//
// How text is cut into strings for the tokenizer is the field's choice. `trimmed`: every chunk is
// tokenised by itself without the spaces at its ends. `kept`: the text between control tokens,
// visual positions and `{|}` is one string, as if the whole conversation had been handed to the
// tokenizer; supervision then changes at a space, which goes with the word after it.
#ifndef VCC_RUNTIME_DATA_TEXT_TEMPLATE_H
#define VCC_RUNTIME_DATA_TEXT_TEMPLATE_H

#include "runtime/data/text/Conversation.h"
#include "runtime/data/text/Tokenizer.h"

namespace vcc::runtime::data {

/// What is trained on. Assistant: from `{a}` on in assistant segments, and `end`. Answer: `{a}`
/// alone. Roles: all that stands after the media but for what the record asks.
enum class Supervise { Assistant, Answer, Roles, All, None };
enum class Spaces { Trimmed, Kept };
/// What a conversation is about: nothing but itself, one image, a video. The segments and prompts of the others do not stand;
/// without media the first turn is as all others.
enum class Shown { Nothing, Image, Video };

/// Tokens with their supervision; `VisualAt` is where in the text the visual positions go, -1:
/// nowhere.
struct Tokens {
  std::vector<int32_t> Ids;
  std::vector<bool> Supervised;
  /// From `{a}` on in an assistant segment, or `end`: what a cap on answers counts.
  std::vector<bool> Answer;
  int64_t VisualAt = -1;

  void add(int32_t id, bool supervised, bool answer = false) {
    Ids.push_back(id);
    Supervised.push_back(supervised);
    Answer.push_back(answer);
  }
};

class Template {
public:
  /// Throws a Failure where the template's text cannot be used with this tokenizer.
  Template(const manifest::Template &declared, const Tokenizer &tokenizer, Supervise supervise,
           Spaces spaces, Shown shown);

  /// Whether `{visual}` stands in it (at most once).
  bool hasVisual() const { return HasVisual; }
  /// Whether the times of the frames are named, which are known after the clip is.
  bool namesTimes() const { return NamesTimes; }
  /// All tokens of a conversation, without a begin token; `draws` picks the prompt of a record that
  /// has no question.
  Tokens render(const Conversation &conversation, Draws draws) const;
  /// The conversation as one string, as a reader sees it.
  std::string text(const Conversation &conversation, Draws draws) const;

private:
  /// A piece of a segment as it was declared.
  struct Piece {
    enum class Kind { Text, Name, Control, Visual, Apart } What = Kind::Text;
    std::string Text; ///< fixed text or the name
    int32_t Id = -1;
    bool Answer = false;      ///< from `{a}` on, in an assistant segment
    bool AnswerItself = false; ///< `{a}`, or what stands for it
  };
  struct Segment {
    std::string Role;
    std::vector<Piece> Pieces;
    std::vector<std::string> Names; ///< what the segment takes from the record, the answer aside
  };
  struct Chunk {
    enum class Kind { Text, Control, Visual } What = Kind::Text;
    std::string Text;
    int32_t Id = -1;
    bool Supervised = false, Answer = false;
    bool Apart = false; ///< never tokenised together with what stands before it
  };

  Segment parse(const manifest::Segment &declared);
  Piece namePiece(std::string name, bool optional, bool assistant, bool &answering,
                  Segment &segment);
  bool supervised(const Segment &segment, const Piece &piece) const;
  std::vector<Chunk> chunks(const Conversation &conversation, Draws draws) const;
  void renderSegment(const Segment &segment, const Conversation &conversation, size_t turn,
                     const std::string &prompt, std::vector<Chunk> &out) const;
  std::string valueOf(const std::string &name, const Segment &segment,
                      const Conversation &conversation, size_t turn,
                      const std::string &prompt) const;

  std::string Name;
  const Tokenizer &Words;
  Supervise Mode;
  Spaces Spacing;
  std::vector<Segment> Segments;
  std::vector<std::string> Prompts;
  bool HasVisual = false, NamesTimes = false, HasFirst = false;
  bool LacksMedia = false; ///< a place for visual tokens was left out with its segment
};

} // namespace vcc::runtime::data
#endif
