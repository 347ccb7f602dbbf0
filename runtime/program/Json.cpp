// SPDX-License-Identifier: Apache-2.0
//
// JSON with places: typed access that says where a document is wrong.
#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <cmath>

namespace vcc::runtime {

void JsonNode::fail(const std::string &what) const {
  throw JsonError(Path.empty() ? what : "`" + Path + "`: " + what);
}

static const char *kindOf(const simdjson::dom::element &element) {
  switch (element.type()) {
  case simdjson::dom::element_type::ARRAY:
    return "a list";
  case simdjson::dom::element_type::OBJECT:
    return "an object";
  case simdjson::dom::element_type::STRING:
    return "a string";
  case simdjson::dom::element_type::BOOL:
    return "true or false";
  case simdjson::dom::element_type::NULL_VALUE:
    return "null";
  default:
    return "a number";
  }
}

JsonNode JsonNode::at(std::string_view key) const {
  if (auto found = find(key))
    return *found;
  if (!Element.is_object())
    fail(fmt::format("is {}, but an object is needed", kindOf(Element)));
  fail(fmt::format("has no `{}`", key));
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  if (!Element.is_object())
    return std::nullopt;
  simdjson::dom::element child;
  if (Element.at_key(key).get(child) || child.is_null())
    return std::nullopt;
  return JsonNode(child, Path.empty() ? std::string(key) : Path + "." + std::string(key));
}

std::vector<JsonNode> JsonNode::items() const {
  simdjson::dom::array array;
  if (Element.get(array))
    fail(fmt::format("is {}, but a list is needed", kindOf(Element)));
  std::vector<JsonNode> nodes;
  for (simdjson::dom::element child : array)
    nodes.emplace_back(child, fmt::format("{}[{}]", Path, nodes.size()));
  return nodes;
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::members() const {
  simdjson::dom::object object;
  if (Element.get(object))
    fail(fmt::format("is {}, but an object is needed", kindOf(Element)));
  std::vector<std::pair<std::string, JsonNode>> nodes;
  for (auto [key, child] : object) {
    std::string name(key);
    nodes.emplace_back(name, JsonNode(child, Path.empty() ? name : Path + "." + name));
  }
  return nodes;
}

std::string JsonNode::string() const {
  std::string_view text;
  if (Element.get(text))
    fail(fmt::format("is {}, but a string is needed", kindOf(Element)));
  return std::string(text);
}

int64_t JsonNode::integer() const {
  int64_t number = 0;
  if (!Element.get(number))
    return number;
  double real = 0;
  if (!Element.get(real) && std::floor(real) == real && std::fabs(real) < 9e15)
    return static_cast<int64_t>(real);
  fail(fmt::format("is {}, but an integer is needed", kindOf(Element)));
}

int64_t JsonNode::integerAtLeast(int64_t least) const {
  int64_t number = integer();
  if (number < least)
    fail(fmt::format("is {}, but at least {} is needed", number, least));
  return number;
}

uint64_t JsonNode::unsignedInteger() const {
  uint64_t number = 0;
  if (Element.get(number))
    fail(fmt::format("is {}, but a number that is not negative is needed", kindOf(Element)));
  return number;
}

double JsonNode::number() const {
  double number = 0;
  if (Element.get(number))
    fail(fmt::format("is {}, but a number is needed", kindOf(Element)));
  return number;
}

bool JsonNode::boolean() const {
  bool flag = false;
  if (Element.get(flag))
    fail(fmt::format("is {}, but true or false is needed", kindOf(Element)));
  return flag;
}

std::string JsonNode::stringOr(std::string_view key, std::string fallback) const {
  auto node = find(key);
  return node ? node->string() : std::move(fallback);
}
int64_t JsonNode::integerOr(std::string_view key, int64_t fallback) const {
  auto node = find(key);
  return node ? node->integer() : fallback;
}
double JsonNode::numberOr(std::string_view key, double fallback) const {
  auto node = find(key);
  return node ? node->number() : fallback;
}
bool JsonNode::booleanOr(std::string_view key, bool fallback) const {
  auto node = find(key);
  return node ? node->boolean() : fallback;
}

JsonDocument::JsonDocument(std::string_view text)
    : Parser(std::make_unique<simdjson::dom::parser>()) {
  auto error = Parser->parse(simdjson::padded_string(text)).get(Root);
  if (error)
    throw JsonError(fmt::format("is not JSON: {}", simdjson::error_message(error)));
}

void JsonWriter::separate() {
  if (NeedsComma)
    Text += ',';
  NeedsComma = false;
}

JsonWriter &JsonWriter::raw(std::string_view json) {
  separate();
  Text += json;
  NeedsComma = true;
  return *this;
}

JsonWriter &JsonWriter::beginObject() {
  separate();
  Text += '{';
  return *this;
}
JsonWriter &JsonWriter::beginArray() {
  separate();
  Text += '[';
  return *this;
}
JsonWriter &JsonWriter::endObject() {
  Text += '}';
  NeedsComma = true;
  return *this;
}
JsonWriter &JsonWriter::endArray() {
  Text += ']';
  NeedsComma = true;
  return *this;
}
JsonWriter &JsonWriter::key(std::string_view name) {
  separate();
  Text += quotedJson(name);
  Text += ':';
  return *this;
}

JsonWriter &JsonWriter::value(std::string_view text) { return raw(quotedJson(text)); }
JsonWriter &JsonWriter::value(int64_t number) { return raw(fmt::format("{}", number)); }
JsonWriter &JsonWriter::value(uint64_t number) { return raw(fmt::format("{}", number)); }
JsonWriter &JsonWriter::value(bool flag) { return raw(flag ? "true" : "false"); }
JsonWriter &JsonWriter::null() { return raw("null"); }

template <typename T>
static std::string textOfNumber(T number) {
  if (std::isnan(number))
    return "\"nan\"";
  if (std::isinf(number))
    return number > 0 ? "\"inf\"" : "\"-inf\"";
  return fmt::format("{}", number);
}
JsonWriter &JsonWriter::value(double number) { return raw(textOfNumber(number)); }
JsonWriter &JsonWriter::value(float number) { return raw(textOfNumber(number)); }

std::string quotedJson(std::string_view text) {
  std::string quoted = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\')
      quoted += {'\\', static_cast<char>(c)};
    else if (c == '\n')
      quoted += "\\n";
    else if (c < 0x20)
      quoted += fmt::format("\\u{:04x}", c);
    else
      quoted += static_cast<char>(c);
  }
  return quoted + "\"";
}

} // namespace vcc::runtime
