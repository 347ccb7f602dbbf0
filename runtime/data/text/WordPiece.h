// SPDX-License-Identifier: Apache-2.0
//
// WordPiece (Schuster and Nakajima, 2012; Wu et al., 2016) with the usual pre-tokenisation over a
// `vocab.txt`: control characters dropped, CJK characters set apart, accents stripped and letters
// lowered where the recipe says `lowercase`, punctuation split off, then the longest known piece
// first.
#ifndef VCC_RUNTIME_DATA_TEXT_WORDPIECE_H
#define VCC_RUNTIME_DATA_TEXT_WORDPIECE_H

#include "runtime/data/text/Tokenizer.h"

#include <unordered_map>

namespace vcc::runtime::data {

class WordPiece : public Tokenizer {
public:
  /// One token a line, its number being its id. [UNK], [CLS], [SEP] and [PAD] must be there.
  WordPiece(const std::string &path, bool lowercase);

  void encode(std::string_view text, std::vector<int32_t> &ids) const override;
  int64_t vocabulary() const override { return Lines; }
  int32_t begin() const override { return First; }
  int32_t padding() const override { return Padding; }
  int32_t first() const override { return First; }
  int32_t last() const override { return Last; }

private:
  int32_t special(const std::string &path, const char *token);
  void encodeWord(const std::u32string &word, std::vector<int32_t> &ids) const;

  std::unordered_map<std::string, int32_t> Ids;
  int64_t Lines = 0;
  bool Lowercase;
  int32_t Unknown, First, Last, Padding;
};

/// The words that WordPiece cuts into pieces: `text` cleaned, normalised and split.
std::vector<std::u32string> splitWords(std::string_view text, bool lowercase);

} // namespace vcc::runtime::data
#endif
