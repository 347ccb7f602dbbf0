// SPDX-License-Identifier: Apache-2.0
//
// WordPiece against cases worked out by hand from its definition.
#include "runtime/data/text/WordPiece.h"
#include "runtime/program/Failure.h"
#include "tests/runtime_data/Scratch.h"

#include <gmock/gmock.h>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

const char *const Vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
                               "un\n##aff\n##able\nrunn\n##ing\naffable\ncafe\n,\n!\n"
                               "##s\n\xe4\xb8\xad\nstra\xc3\x9f\x65\ni\n[\n]\nmask\nun##\nUn\n";
enum {
  PAD,
  UNK,
  CLS,
  SEP,
  MASK,
  un,
  aff,
  able,
  runn,
  ing,
  affable,
  cafe,
  comma,
  bang,
  s,
  zhong,
  strasse,
  i,
  open,
  close,
  mask
};

std::vector<int32_t> encode(const WordPiece &words, std::string_view text) {
  std::vector<int32_t> ids;
  words.encode(text, ids);
  return ids;
}

struct WordPieces : testing::Test {
  Scratch Files;
  WordPiece Words{Files.write("vocab.txt", Vocabulary), true};
};

TEST_F(WordPieces, longestPieceFirst) {
  EXPECT_THAT(encode(Words, "unaffable"), ElementsAre(un, aff, able));
  EXPECT_THAT(encode(Words, "affable"), ElementsAre(affable));
  EXPECT_THAT(encode(Words, "running affables"), ElementsAre(runn, ing, affable, s));
  EXPECT_THAT(encode(Words, "unrun"), ElementsAre(UNK));
  EXPECT_THAT(encode(Words, ""), ElementsAre());
}

TEST_F(WordPieces, lettersAccentsAndControls) {
  EXPECT_THAT(encode(Words, "CAF\xc3\x89"), ElementsAre(cafe));
  EXPECT_THAT(encode(Words, "cafe\xcc\x81"), ElementsAre(cafe));
  EXPECT_THAT(encode(Words, "Stra\xc3\x9f\x65"), ElementsAre(strasse));
  EXPECT_THAT(encode(Words, "\xc4\xb0"), ElementsAre(i));
  EXPECT_THAT(encode(Words, "ca\x01\xe2\x80\x8b"
                            "fe\xef\xbf\xbd"),
              ElementsAre(cafe));
  EXPECT_THAT(encode(Words, "cafe\t\xc2\xa0\xe3\x80\x80\ncafe"), ElementsAre(cafe, cafe));
}

TEST_F(WordPieces, punctuationAndIdeographs) {
  EXPECT_THAT(encode(Words, "cafe,cafe!!"), ElementsAre(cafe, comma, cafe, bang, bang));
  EXPECT_THAT(encode(Words, "\xe4\xb8\xad\xe4\xb8\xad"
                            "cafe"),
              ElementsAre(zhong, zhong, cafe));
  EXPECT_THAT(encode(Words, "cafe\xe3\x80\x82"), ElementsAre(cafe, UNK));
}

TEST_F(WordPieces, longWordsAndSpecialNames) {
  EXPECT_THAT(encode(Words, std::string(101, 'i')), ElementsAre(UNK));
  EXPECT_THAT(encode(Words, "[MASK]"), ElementsAre(open, mask, close));
  EXPECT_THAT(encode(Words, "\xff\xfe cafe"), ElementsAre(cafe));
}

TEST_F(WordPieces, casedVocabulary) {
  WordPiece cased(Files.path("vocab.txt"), false);
  EXPECT_THAT(encode(cased, "Un un"), ElementsAre(22, un));
  EXPECT_THAT(encode(cased, "caf\xc3\xa9"), ElementsAre(UNK));
}

TEST_F(WordPieces, faultsOfTheFile) {
  auto opening = [&](const std::string &content) {
    return failure([&] { WordPiece(Files.write("v.txt", content), true); });
  };
  EXPECT_THAT(opening("a\nb\n"), HasSubstr("has no `[UNK]`"));
  EXPECT_THAT(opening("a\nb\na\n"), HasSubstr("line 3 repeats `a` of line 1"));
  manifest::Tokenizer declared{"words", "wordpiece", "vocab.txt", 96, true};
  EXPECT_THAT(failure([&] { openTokenizer(declared, Files.dir()); }),
              HasSubstr("has 23 tokens, but the recipe declares `vocab: 96`"));
  declared.kind = "sentencepiece";
  EXPECT_THAT(failure([&] { openTokenizer(declared, Files.dir()); }),
              HasSubstr("is not a SentencePiece model"));
}

} // namespace
