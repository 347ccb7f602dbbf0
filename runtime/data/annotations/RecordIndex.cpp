// SPDX-License-Identifier: Apache-2.0
//
// The scanner behind indexRecords: it knows strings, escapes and the depth of brackets, nothing
// else of JSON.
#include "runtime/data/annotations/RecordIndex.h"
#include "runtime/data/SampleError.h"

#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

constexpr uint64_t LargestRecord = 64u << 20;

class Scanner {
public:
  Scanner(std::string_view bytes, const std::string &path) : Bytes(bytes), Path(path) {}

  std::vector<RecordSpan> run() {
    if (Bytes.substr(0, 3) == "\xef\xbb\xbf")
      At = 3;
    skipSpace();
    if (At == Bytes.size())
      throw Failure(
          Exit::Data,
          fmt::format("{}: is empty; a JSON array of objects, or one object a line, is needed",
                      Path));
    if (Bytes[At] == '[')
      array();
    else
      lines();
    return std::move(Spans);
  }

private:
  void array() {
    ++At;
    skipSpace();
    if (peek() == ']')
      ++At;
    else
      for (;;) {
        object();
        skipSpace();
        char next = peek();
        ++At;
        if (next == ']')
          break;
        if (next != ',') {
          --At;
          fail("`,` or `]` after the record");
        }
        skipSpace();
      }
    skipSpace();
    if (At != Bytes.size())
      fail("the end of the file after `]`");
  }

  void lines() {
    while (At != Bytes.size()) {
      object();
      skipSpace();
    }
  }

  /// Takes one `{...}`; brackets of both kinds count, so a mismatch inside is left to the reader of
  /// the record.
  void object() {
    if (peek() != '{')
      fail("an object `{...}`");
    uint64_t begin = At;
    uint64_t depth = 0;
    while (At < Bytes.size()) {
      char c = Bytes[At++];
      if (c == '"')
        string();
      else if (c == '{' || c == '[')
        ++depth;
      else if ((c == '}' || c == ']') && --depth == 0) {
        if (At - begin > LargestRecord)
          throw Failure(
              Exit::Data,
              fmt::format("{}: record {} has {} bytes, more than the {} that one record may have",
                          Path, Spans.size(), At - begin, LargestRecord));
        Spans.push_back({begin, static_cast<uint32_t>(At - begin)});
        return;
      }
    }
    throw Failure(
        Exit::Data,
        fmt::format("{}: record {}, which begins at byte {}, does not end before the file does",
                    Path, Spans.size(), begin));
  }

  void string() {
    while (At < Bytes.size()) {
      char c = Bytes[At++];
      if (c == '"')
        return;
      if (c == '\\')
        ++At;
    }
  }

  void skipSpace() {
    while (At < Bytes.size() &&
           (Bytes[At] == ' ' || Bytes[At] == '\n' || Bytes[At] == '\t' || Bytes[At] == '\r'))
      ++At;
  }

  char peek() const { return At < Bytes.size() ? Bytes[At] : '\0'; }

  [[noreturn]] void fail(const char *needed) const {
    std::string found = "the end of the file";
    if (At < Bytes.size()) {
      unsigned char c = static_cast<unsigned char>(Bytes[At]);
      found =
          c > 0x20 && c < 0x7f ? fmt::format("`{}`", Bytes[At]) : fmt::format("byte 0x{:02x}", c);
    }
    throw Failure(Exit::Data,
                  fmt::format("{}: record {} at byte {}: found {}, needed {}", Path, Spans.size(),
                              std::min<uint64_t>(At, Bytes.size()), found, needed));
  }

  std::string_view Bytes;
  const std::string &Path;
  uint64_t At = 0;
  std::vector<RecordSpan> Spans;
};

} // namespace

std::vector<RecordSpan> indexRecords(std::string_view bytes, const std::string &path) {
  return Scanner(bytes, path).run();
}

} // namespace vcc::runtime::data
