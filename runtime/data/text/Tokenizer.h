// SPDX-License-Identifier: Apache-2.0
//
// What a text field needs of a tokenizer. Implementations are immutable after opening and safe from
// several threads.
#ifndef VCC_RUNTIME_DATA_TEXT_TOKENIZER_H
#define VCC_RUNTIME_DATA_TEXT_TOKENIZER_H

#include "runtime/program/Manifest.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vcc::runtime::data {

class Tokenizer {
public:
  virtual ~Tokenizer() = default;

  /// Appends the tokens of plain text; text never turns into control tokens.
  virtual void encode(std::string_view text, std::vector<int32_t> &ids) const = 0;
  virtual int64_t vocabulary() const = 0;

  /// The token that begins a templated text; -1: none.
  virtual int32_t begin() const = 0;
  /// What goes to unused positions.
  virtual int32_t padding() const = 0;
  /// Tokens around a whole plain text ([CLS] and [SEP]); -1: none.
  virtual int32_t first() const { return -1; }
  virtual int32_t last() const { return -1; }
  /// White space after a control token belongs to it.
  virtual bool controlsTakeSpace() const { return false; }
  /// Tokens that only a template may name, with their ids.
  const std::vector<std::pair<std::string, int32_t>> &controls() const { return Controls; }

protected:
  std::vector<std::pair<std::string, int32_t>> Controls;
};

/// Opens the tokenizer that the manifest declares; `dir` is what its file is relative to. Throws a
/// Failure where the file is missing, broken, or has another number of tokens than the recipe says.
std::unique_ptr<Tokenizer> openTokenizer(const manifest::Tokenizer &declared,
                                         const std::string &dir);

} // namespace vcc::runtime::data
#endif
