// SPDX-License-Identifier: Apache-2.0
//
// The pre-tokenisation of WordPiece, by ICU's character properties. Letters are lowered one by one,
// without the context rules of a whole string (final sigma), as the reference tokenizer does.
#include "runtime/data/text/WordPiece.h"
#include "runtime/program/Failure.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace vcc::runtime::data {
namespace {

/// Whether `c` is in one of the categories, by Unicode 8.0: the reference tokenizer's tables know
/// no newer character, so a newer one is an ordinary letter there.
bool isIn(UChar32 c, uint32_t categories) {
  UVersionInfo since;
  u_charAge(c, since);
  return (U_GET_GC_MASK(c) & categories) && since[0] <= 8;
}

bool isControl(UChar32 c) {
  if (c == '\t' || c == '\n' || c == '\r')
    return false;
  return isIn(c, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK | U_GC_CS_MASK);
}

bool isSpace(UChar32 c) { return u_isUWhiteSpace(c); }

bool isPunctuation(UChar32 c) {
  bool asciiSymbol = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
                     (c >= 123 && c <= 126);
  return asciiSymbol || isIn(c, U_GC_P_MASK);
}

bool isIdeograph(UChar32 c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b820 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

icu::UnicodeString clean(const icu::UnicodeString &text) {
  icu::UnicodeString out;
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    UChar32 c = text.char32At(i);
    if (c == 0 || c == 0xfffd || isControl(c))
      continue;
    if (isSpace(c))
      out.append(UChar32(' '));
    else if (isIdeograph(c))
      out.append(UChar32(' ')).append(c).append(UChar32(' '));
    else
      out.append(c);
  }
  return out;
}

icu::UnicodeString stripAccents(const icu::UnicodeString &text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2 *decomposer = icu::Normalizer2::getNFDInstance(status);
  icu::UnicodeString decomposed, out;
  if (U_SUCCESS(status))
    decomposed = decomposer->normalize(text, status);
  if (U_FAILURE(status))
    throw Failure(
        Exit::Machine,
        "ICU's normalisation data cannot be loaded; on Debian 12 it is in the package libicu72");
  for (int32_t i = 0; i < decomposed.length(); i = decomposed.moveIndex32(i, 1)) {
    UChar32 c = decomposed.char32At(i);
    if (!isIn(c, U_GC_MN_MASK))
      out.append(c);
  }
  return out;
}

/// The full lower-case form of one character (U+0130 gives two).
void appendLower(icu::UnicodeString &out, UChar32 c) {
  out.append(icu::UnicodeString(c).toLower(icu::Locale::getRoot()));
}

icu::UnicodeString lower(const icu::UnicodeString &text) {
  icu::UnicodeString out;
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1))
    appendLower(out, text.char32At(i));
  return out;
}

} // namespace

std::vector<std::u32string> splitWords(std::string_view text, bool lowercase) {
  icu::UnicodeString cleaned = clean(icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size()))));
  if (lowercase)
    cleaned = lower(stripAccents(cleaned));
  std::vector<std::u32string> words;
  std::u32string word;
  auto flush = [&] {
    if (!word.empty())
      words.push_back(std::move(word));
    word.clear();
  };
  for (int32_t i = 0; i < cleaned.length(); i = cleaned.moveIndex32(i, 1)) {
    UChar32 c = cleaned.char32At(i);
    if (isSpace(c)) {
      flush();
    } else if (isPunctuation(c)) {
      flush();
      words.push_back(std::u32string(1, static_cast<char32_t>(c)));
    } else {
      word += static_cast<char32_t>(c);
    }
  }
  flush();
  return words;
}

} // namespace vcc::runtime::data
