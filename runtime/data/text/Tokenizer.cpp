// SPDX-License-Identifier: Apache-2.0
//
// Opening a tokenizer by its declared kind.
#include "runtime/data/text/Tokenizer.h"
#include "runtime/data/text/SentencePieces.h"
#include "runtime/data/text/WordPiece.h"
#include "runtime/program/Failure.h"

#include <filesystem>
#include <fmt/format.h>

namespace vcc::runtime::data {

std::unique_ptr<Tokenizer> openTokenizer(const manifest::Tokenizer &declared,
                                         const std::string &dir) {
  std::string path = (std::filesystem::path(dir) / declared.file).string();
  std::unique_ptr<Tokenizer> tokenizer;
  if (declared.kind == "sentencepiece")
    tokenizer = std::make_unique<SentencePieces>(path, declared.added, declared.addedTakeSpace);
  else
    tokenizer = std::make_unique<WordPiece>(path, declared.lowercase);
  // Rows of the embedding beyond the added tokens have none.
  bool padded = !declared.added.empty() && tokenizer->vocabulary() < declared.vocab;
  if (tokenizer->vocabulary() != declared.vocab && !padded)
    throw Failure(
        Exit::Data,
        fmt::format("{}: has {} tokens, but the recipe declares `vocab: {}` for tokenizer `{}`",
                    path, tokenizer->vocabulary(), declared.vocab, declared.name),
        "use the tokenizer file that the recipe was written for, or change `vocab` and compile "
        "again");
  return tokenizer;
}

} // namespace vcc::runtime::data
