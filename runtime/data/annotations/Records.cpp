// SPDX-License-Identifier: Apache-2.0
//
// Records by simdjson's DOM, one record at a time: a record is small, and its whole text is
// validated.
#include "runtime/data/annotations/Records.h"
#include "runtime/data/SampleError.h"
#include "runtime/program/Suggest.h"
#include "runtime/weights/Hash.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::data {
namespace {

std::string describe(simdjson::dom::element value) {
  switch (value.type()) {
  case simdjson::dom::element_type::ARRAY:
    return fmt::format("a list of {}",
                       simdjson::dom::array(value.get_array().value_unsafe()).size());
  case simdjson::dom::element_type::OBJECT:
    return "an object";
  case simdjson::dom::element_type::STRING:
    return "a string";
  case simdjson::dom::element_type::BOOL:
    return "a boolean";
  case simdjson::dom::element_type::NULL_VALUE:
    return "null";
  default:
    return "a number";
  }
}

std::string quoted(const std::vector<std::string> &names) {
  std::string out;
  for (const std::string &name : names)
    out += (out.empty() ? "`" : " or `") + name + "`";
  return out;
}

} // namespace

RecordFile::RecordFile(std::string path, RecordSchema schema)
    : Path(std::move(path)), Schema(std::move(schema)), File(Path),
      Spans(indexRecords(MappedFile(Path).text(), Path)) {}

std::string RecordFile::content() const {
  Hash hash;
  std::vector<char> part(size_t(1) << 20);
  for (size_t at = 0; at < File.size(); at += part.size()) {
    size_t bytes = std::min(part.size(), File.size() - at);
    File.read(at, part.data(), bytes);
    hash.update(part.data(), bytes);
  }
  return fmt::format("{} bytes, {}", File.size(), hexOf(hash.digest()));
}

void RecordFile::read(uint64_t number, Record &into) const {
  if (number >= Spans.size())
    throw Failure(Exit::Data, fmt::format("{}: record {} is asked for, but the file has {}", Path,
                                          number, Spans.size()));
  const RecordSpan &span = Spans[number];
  into.File = this;
  into.Number = number;
  into.Text.resize(span.Size + simdjson::SIMDJSON_PADDING);
  File.read(span.Begin, into.Text.data(), span.Size);
  auto result = into.Parser.parse(into.Text.data(), span.Size, /*realloc_if_needed=*/false);
  if (result.error())
    throw SampleError(fmt::format("{}: record {} (byte {}): {}", Path, number, span.Begin,
                                  simdjson::error_message(result.error())));
  into.Root = result.value_unsafe();
}

const std::string &Record::file() const { return File->path(); }

void Record::fail(const std::string &field, const std::string &found,
                  const std::string &needed, const std::string &more) const {
  throw SampleError(fmt::format("{}: record {}: field `{}` is {} but {} is needed{}", File->path(),
                                Number, field, found, needed, more));
}

std::optional<Record::Element> Record::find(std::string_view path) const {
  Element at = Root;
  while (true) {
    size_t dot = path.find('.');
    Element next;
    if (!at.is_object() || at[path.substr(0, dot)].get(next))
      return std::nullopt;
    if (dot == std::string_view::npos)
      return next;
    at = next;
    path.remove_prefix(dot + 1);
  }
}

Record::Element Record::require(const std::string &name, std::optional<size_t> turn) const {
  const RecordSchema &schema = File->schema();
  // A declared name stands for its path, also as the head of a longer one (`attributes.shape`).
  std::string path = name;
  auto declared = schema.Fields.find(name);
  if (declared != schema.Fields.end()) {
    path = declared->second;
  } else if (size_t dot = name.find('.'); dot != std::string::npos) {
    if (auto head = schema.Fields.find(name.substr(0, dot)); head != schema.Fields.end())
      path = head->second + name.substr(dot);
  }
  if (auto found = find(path))
    return *found;
  if (turn && !schema.TurnsKey.empty())
    if (auto turns = find(schema.TurnsKey); turns && turns->is_array()) {
      Element element, value;
      if (!simdjson::dom::array(turns->get_array().value_unsafe()).at(*turn).get(element) &&
          element.is_object() && !element[path].get(value))
        return value;
    }
  std::vector<std::string> keys;
  if (Root.is_object())
    for (auto entry : simdjson::dom::object(Root.get_object().value_unsafe()))
      keys.emplace_back(entry.key);
  fail(path, "absent", "a value", didYouMean(path, keys));
}

std::string Record::string(Element value, const std::string &field) const {
  std::string_view text;
  if (value.get(text))
    fail(field, describe(value), "a string");
  return std::string(text);
}

std::string Record::scalar(Element value, const std::string &field) const {
  if (value.is_string())
    return string(value, field);
  if (value.is_array() || value.is_object() || value.is_null())
    fail(field, describe(value), "a string, number or boolean");
  return simdjson::minify(value);
}

std::string Record::field(const std::string &name, std::optional<size_t> turn) const {
  return scalar(require(name, turn), name);
}

std::vector<std::string> Record::fields(const std::string &name, std::optional<size_t> turn) const {
  Element list = require(name, turn);
  if (!list.is_array())
    fail(name, describe(list), "a list of strings");
  std::vector<std::string> out;
  for (Element item : simdjson::dom::array(list.get_array().value_unsafe()))
    out.push_back(scalar(item, fmt::format("{}[{}]", name, out.size())));
  return out;
}

std::optional<std::string> Record::media() const {
  const std::vector<std::string> &keys = File->schema().MediaKeys;
  if (keys.empty())
    return std::nullopt;
  for (const std::string &key : keys)
    if (auto value = find(key)) {
      std::string name = string(*value, key);
      if (name.empty() || name.find('\0') != std::string::npos)
        fail(key, name.empty() ? "empty" : "a name with a zero byte", "the name of a file");
      return name;
    }
  throw SampleError(fmt::format("{}: record {}: has no field {}, which names its media file",
                                File->path(), Number, quoted(keys)));
}

std::optional<std::pair<double, double>> Record::span() const {
  const auto &fields = File->schema().Fields;
  auto start = fields.find("start"), end = fields.find("end");
  if (start == fields.end() || end == fields.end())
    return std::nullopt;
  auto from = find(start->second), to = find(end->second);
  if (!from && !to)
    return std::nullopt;
  auto seconds = [&](const std::optional<Element> &value, const std::string &key) {
    double number = 0;
    if (!value || value->get(number))
      fail(key, value ? describe(*value) : "absent", "a number of seconds");
    return number;
  };
  return std::pair(seconds(from, start->second), seconds(to, end->second));
}

std::vector<Turn> Record::turns() const {
  const RecordSchema &schema = File->schema();
  std::vector<Turn> out;
  if (schema.TurnsKey.empty())
    return out;
  auto list = find(schema.TurnsKey);
  if (!list)
    return out;
  if (!list->is_array())
    fail(schema.TurnsKey, describe(*list), "a list of turns");
  for (Element item : simdjson::dom::array(list->get_array().value_unsafe())) {
    std::string place = fmt::format("{}[{}]", schema.TurnsKey, out.size());
    if (!item.is_object())
      fail(place, describe(item), "an object");
    auto part = [&](const char *role, bool needed) -> std::string {
      auto key = schema.TurnFields.find(role);
      if (key == schema.TurnFields.end())
        return "";
      Element value;
      if (item[key->second].get(value)) {
        if (needed)
          fail(place + "." + key->second, "absent", "a string");
        return "";
      }
      return string(value, place + "." + key->second);
    };
    // Instruction and question may be left out, as caption records do; an answer may not.
    out.push_back({part("i", false), part("q", false), part("a", true)});
  }
  return out;
}

std::vector<std::string> Record::captions() const {
  const std::string &key = File->schema().CaptionKey;
  auto value = key.empty() ? std::nullopt : find(key);
  if (!value)
    return {};
  if (value->is_array())
    return fields(key);
  return {string(*value, key)};
}

std::optional<std::string> Record::text() const {
  const std::string &key = File->schema().TextKey;
  auto value = key.empty() ? std::nullopt : find(key);
  if (!value)
    return std::nullopt;
  return string(*value, key);
}

} // namespace vcc::runtime::data
