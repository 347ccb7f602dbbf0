// SPDX-License-Identifier: Apache-2.0
//
// A dialogue template, parsed for one tokenizer. Segments are made of parts that are tokenised one
// by one: a part ends at a control token named in the template (`</s>`), at `{visual}` and around
// `{a}`, so that what is supervised has its own tokens. A part is trimmed of spaces at both ends;
// text from records never yields a control token.
#ifndef VCC_RUNTIME_DATA_TEXT_TEMPLATE_H
#define VCC_RUNTIME_DATA_TEXT_TEMPLATE_H

#include "runtime/data/text/Conversation.h"
#include "runtime/data/text/Tokenizer.h"

namespace vcc::runtime::data {

enum class Supervise { Assistant, All, None };

/// Tokens with their supervision; `VisualAt` is where in the text the visual positions go, -1:
/// nowhere.
struct Tokens {
  std::vector<int32_t> Ids;
  std::vector<bool> Supervised;
  int64_t VisualAt = -1;

  void add(int32_t id, bool supervised) {
    Ids.push_back(id);
    Supervised.push_back(supervised);
  }
};

class Template {
public:
  /// Throws a Failure where the template's text cannot be used with this tokenizer.
  Template(const manifest::Template &declared, const Tokenizer &tokenizer);

  /// Whether `{visual}` stands in it (at most once).
  bool hasVisual() const { return HasVisual; }
  /// All tokens of a conversation, without a begin token; `draws` picks the prompt of a record that
  /// has no question.
  Tokens render(const Conversation &conversation, Supervise supervise, Draws draws) const;

private:
  /// A run of fixed text and names that is tokenised as one string; or a control token; or the
  /// visual positions.
  struct Part {
    enum class Kind { Text, Control, Visual } What = Kind::Text;
    std::vector<std::pair<bool, std::string>> Pieces; ///< (is a name, text or name)
    int32_t Id = -1;
    bool Answer = false; ///< from `{a}` on, in an assistant segment
  };
  struct Segment {
    std::string Role;
    std::vector<Part> Parts;
    std::vector<std::string> Names; ///< what the segment takes from the record, the answer aside
  };

  Segment parse(const manifest::Segment &declared);
  void renderSegment(const Segment &segment, const Conversation &conversation, size_t turn,
                     const std::string &prompt, Supervise supervise, Tokens &out) const;
  std::string valueOf(const std::string &name, const Segment &segment,
                      const Conversation &conversation, size_t turn,
                      const std::string &prompt) const;

  std::string Name;
  const Tokenizer &Words;
  std::vector<Segment> Segments;
  std::vector<std::string> Prompts;
  bool HasVisual = false;
};

} // namespace vcc::runtime::data
#endif
