// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing safetensors.
#include "runtime/weights/Safetensors.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace vcc::runtime {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");

static constexpr std::pair<std::string_view, DType> FileNames[] = {
    {"F64", DType::F64}, {"F32", DType::F32}, {"F16", DType::F16}, {"BF16", DType::BF16},
    {"I64", DType::I64}, {"I32", DType::I32}, {"I16", DType::I16}, {"I8", DType::I8},
    {"U8", DType::U8},   {"BOOL", DType::Bool}};

static DType parseDType(const JsonNode &node) {
  std::string name = node.string();
  for (const auto &[fileName, type] : FileNames)
    if (fileName == name)
      return type;
  node.fail(fmt::format("is `{}`, which is not supported", name));
}

static constexpr uint64_t LongestHeader = 100'000'000; // as the reference implementation

/// The header's text, checked to lie inside the file.
static std::string_view headerOf(const MappedFile &file) {
  uint64_t length = 0;
  if (file.size() < sizeof length)
    throw JsonError(fmt::format("has {} bytes, which is too short for a header", file.size()));
  std::memcpy(&length, file.data(), sizeof length);
  if (length > LongestHeader || length > file.size() - sizeof length)
    throw JsonError(fmt::format("names a header of {} bytes, but the file has {}", length,
                                file.size()));
  return file.text().substr(sizeof length, length);
}

static TensorView parseTensor(const JsonNode &node, const std::byte *data, uint64_t available) {
  TensorView view;
  view.dtype = parseDType(node.at("dtype"));
  int64_t elements = 1;
  for (const JsonNode &size : node.at("shape").items()) {
    view.shape.push_back(size.integerAtLeast(0));
    if (__builtin_mul_overflow(elements, view.shape.back(), &elements))
      node.fail("has a shape of more elements than can be counted");
  }
  auto offsets = node.at("data_offsets").items();
  if (offsets.size() != 2)
    node.fail("needs two `data_offsets`");
  uint64_t begin = uint64_t(offsets[0].integerAtLeast(0));
  uint64_t end = uint64_t(offsets[1].integerAtLeast(0));
  if (begin > end || end > available)
    node.fail(fmt::format("lies at bytes {} to {}, but the file holds {}", begin, end, available));
  int64_t bytes;
  if (__builtin_mul_overflow(elements, bytesOf(view.dtype), &bytes) || uint64_t(bytes) != end - begin)
    node.fail(fmt::format("has {} bytes, but {} {} needs another number", end - begin,
                          nameOf(view.dtype), textOf(view.shape)));
  view.data = data + begin;
  return view;
}

/// Tensors that share bytes are a trick, not a file.
static void checkDisjoint(const std::map<std::string, TensorView> &tensors) {
  std::vector<std::pair<const std::byte *, const std::byte *>> ranges;
  for (const auto &[name, view] : tensors)
    if (view.bytes())
      ranges.push_back({view.data, view.data + view.bytes()});
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].first < ranges[i - 1].second)
      throw JsonError("has tensors that overlap");
}

Safetensors::Safetensors(const std::string &path) : Path(path), File(path) {
  try {
    std::string_view header = headerOf(File);
    JsonDocument document(header);
    const std::byte *data = File.data() + 8 + header.size();
    for (const auto &[name, node] : document.root().members()) {
      if (name == "__metadata__") {
        for (const auto &[key, value] : node.members())
          Metadata[key] = value.string();
        continue;
      }
      TensorView view = parseTensor(node, data, File.size() - 8 - header.size());
      if (!Tensors.emplace(name, view).second)
        throw JsonError(fmt::format("names `{}` twice", name));
    }
    checkDisjoint(Tensors);
  } catch (const JsonError &error) {
    throw Failure(Exit::Data, fmt::format("`{}` {}", path, error.what()));
  }
}

const TensorView *Safetensors::find(const std::string &name) const {
  auto it = Tensors.find(name);
  return it == Tensors.end() ? nullptr : &it->second;
}

static std::string headerText(const std::vector<NamedTensor> &tensors,
                              const std::map<std::string, std::string> &metadata) {
  JsonWriter writer;
  writer.beginObject();
  if (!metadata.empty()) {
    writer.key("__metadata__").beginObject();
    for (const auto &[key, value] : metadata)
      writer.member(key, std::string_view(value));
    writer.endObject();
  }
  uint64_t offset = 0;
  for (const NamedTensor &tensor : tensors) {
    writer.key(tensor.name).beginObject();
    for (const auto &[fileName, type] : FileNames)
      if (type == tensor.view.dtype)
        writer.member("dtype", fileName);
    writer.key("shape").beginArray();
    for (int64_t size : tensor.view.shape)
      writer.value(size);
    writer.endArray().key("data_offsets").beginArray();
    writer.value(offset);
    writer.value(offset += tensor.view.bytes());
    writer.endArray().endObject();
  }
  std::string text = writer.endObject().text();
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' '); // data starts on a cache line
  return text;
}

Written writeSafetensors(const std::string &path, const std::vector<NamedTensor> &tensors,
                         const std::map<std::string, std::string> &metadata) {
  std::string header = headerText(tensors, metadata);
  uint64_t length = header.size();
  FileWriter writer(path);
  writer.write(&length, sizeof length);
  writer.write(header.data(), header.size());
  for (const NamedTensor &tensor : tensors)
    writer.write(tensor.view.data, tensor.view.bytes());
  writer.finish();
  return {writer.bytes(), writer.digest()};
}

} // namespace vcc::runtime
