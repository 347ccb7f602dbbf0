// SPDX-License-Identifier: Apache-2.0
//
// Reading JSON with a place in every error, and writing it. A Node is a view into a JsonDocument (simdjson's DOM) that
// knows its own path, so that a wrong type or a missing key is told as `stages[0].states[3].offset`.
#ifndef VCC_RUNTIME_PROGRAM_JSON_H
#define VCC_RUNTIME_PROGRAM_JSON_H

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vcc::runtime {

/// What is wrong and where; the owner of the document wraps it into a Failure that names the file.
class JsonError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

class JsonNode {
public:
  JsonNode(simdjson::dom::element element, std::string path)
      : Element(element), Path(std::move(path)) {}

  const std::string &path() const { return Path; }
  bool isNull() const { return Element.is_null(); }
  bool isString() const { return Element.is_string(); }
  bool isObject() const { return Element.is_object(); }
  bool isArray() const { return Element.is_array(); }

  /// A member that must be there.
  JsonNode at(std::string_view key) const;
  /// A member that may be missing; null counts as missing.
  std::optional<JsonNode> find(std::string_view key) const;
  std::vector<JsonNode> items() const;
  std::vector<std::pair<std::string, JsonNode>> members() const;

  std::string string() const;
  int64_t integer() const;
  /// An integer that must be at least `least` (sizes, offsets).
  int64_t integerAtLeast(int64_t least) const;
  /// A whole number up to 2^64 - 1.
  uint64_t unsignedInteger() const;
  double number() const;
  bool boolean() const;

  std::string stringOr(std::string_view key, std::string fallback) const;
  int64_t integerOr(std::string_view key, int64_t fallback) const;
  double numberOr(std::string_view key, double fallback) const;
  bool booleanOr(std::string_view key, bool fallback) const;

  [[noreturn]] void fail(const std::string &what) const;

private:
  simdjson::dom::element Element;
  std::string Path;
};

/// Owns a parsed text. Throws JsonError on malformed input.
class JsonDocument {
public:
  explicit JsonDocument(std::string_view text);
  JsonNode root() const { return JsonNode(Root, ""); }

private:
  std::unique_ptr<simdjson::dom::parser> Parser;
  simdjson::dom::element Root;
};

/// Writes one JSON value, members in the order given. Non-finite numbers become the strings "nan", "inf", "-inf".
class JsonWriter {
public:
  JsonWriter &beginObject();
  JsonWriter &endObject();
  JsonWriter &beginArray();
  JsonWriter &endArray();
  JsonWriter &key(std::string_view name);
  JsonWriter &value(std::string_view text);
  JsonWriter &value(const char *text) { return value(std::string_view(text)); }
  JsonWriter &value(double number);
  /// The shortest text that reads back as the same float.
  JsonWriter &value(float number);
  JsonWriter &value(int64_t number);
  JsonWriter &value(uint64_t number);
  JsonWriter &value(int number) { return value(static_cast<int64_t>(number)); }
  JsonWriter &value(bool flag);
  JsonWriter &null();
  /// Text that is JSON already.
  JsonWriter &raw(std::string_view json);
  template <typename T>
  JsonWriter &member(std::string_view name, T content) {
    return key(name).value(content);
  }
  const std::string &text() const { return Text; }

private:
  void separate();
  std::string Text;
  bool NeedsComma = false;
};

std::string quotedJson(std::string_view text);

} // namespace vcc::runtime
#endif
