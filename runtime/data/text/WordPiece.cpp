// SPDX-License-Identifier: Apache-2.0
//
// WordPiece: the vocabulary file and the greedy match.
#include "runtime/data/text/WordPiece.h"
#include "runtime/weights/Files.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>
#include <limits>
#include <simdjson.h>

namespace vcc::runtime::data {
namespace {

constexpr size_t LongestWord = 100;

void appendUtf8(std::string &out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

} // namespace

WordPiece::WordPiece(const std::string &path, bool lowercase) : Lowercase(lowercase) {
  MappedFile file(path);
  std::string_view rest = file.text();
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!line.empty() && line.back() == '\r')
      line.remove_suffix(1);
    if (Lines == std::numeric_limits<int32_t>::max())
      throw Failure(Exit::Data, fmt::format("{}: has more lines than ids can number", path));
    if (!simdjson::validate_utf8(line.data(), line.size()))
      throw Failure(Exit::Data, fmt::format("{}: line {} is not UTF-8", path, Lines + 1));
    auto [at, fresh] = Ids.emplace(std::string(line), static_cast<int32_t>(Lines));
    if (!fresh)
      throw Failure(Exit::Data,
                    fmt::format("{}: line {} repeats `{}` of line {}; a token has one id", path,
                                Lines + 1, at->first, at->second + 1));
    ++Lines;
  }
  Unknown = special(path, "[UNK]");
  First = special(path, "[CLS]");
  Last = special(path, "[SEP]");
  Padding = special(path, "[PAD]");
  if (auto mask = Ids.find("[MASK]"); mask != Ids.end())
    Controls.emplace_back(mask->first, mask->second);
}

int32_t WordPiece::special(const std::string &path, const char *token) {
  auto found = Ids.find(token);
  if (found == Ids.end())
    throw Failure(Exit::Data,
                  fmt::format("{}: has no `{}`, which a WordPiece vocabulary needs", path, token));
  Controls.emplace_back(found->first, found->second);
  return found->second;
}

void WordPiece::encodeWord(const std::u32string &word, std::vector<int32_t> &ids) const {
  if (word.size() > LongestWord) {
    ids.push_back(Unknown);
    return;
  }
  size_t before = ids.size();
  for (size_t begin = 0; begin < word.size();) {
    std::string piece = begin == 0 ? "" : "##";
    size_t matched = 0;
    int32_t id = -1;
    for (size_t end = begin; end < word.size(); ++end) {
      appendUtf8(piece, word[end]);
      if (auto found = Ids.find(piece); found != Ids.end()) {
        matched = end + 1;
        id = found->second;
      }
    }
    if (matched == 0) {
      // One unknown part makes the whole word unknown.
      ids.resize(before);
      ids.push_back(Unknown);
      return;
    }
    ids.push_back(id);
    begin = matched;
  }
}

void WordPiece::encode(std::string_view text, std::vector<int32_t> &ids) const {
  for (const std::u32string &word : splitWords(text, Lowercase))
    encodeWord(word, ids);
}

} // namespace vcc::runtime::data
