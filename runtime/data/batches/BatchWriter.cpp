// SPDX-License-Identifier: Apache-2.0
//
// BatchWriter: rows into the loop's tensors, after their types and sizes have been checked once.
#include "runtime/data/batches/SampleMaker.h"
#include "runtime/program/Failure.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace vcc::runtime::data {

template <typename T>
T *BatchWriter::find(const std::string &name, DType type, int64_t elements) {
  Known.push_back(name);
  auto found = Destination.find(name);
  if (found == Destination.end())
    return nullptr;
  const HostTensor &tensor = found->second;
  if (tensor.dtype != type || elementsOf(tensor.shape) != elements)
    throw Failure(Exit::Internal,
                  fmt::format("input `{}` is {} {}, but the data has {} elements of {}", name,
                              nameOf(tensor.dtype), textOf(tensor.shape), elements, nameOf(type)));
  return static_cast<T *>(tensor.data);
}

/// The field of that name, and its place among those that are texts, or that are not.
static std::pair<size_t, const manifest::Field *> placeOf(const manifest::Batch &made,
                                                          const manifest::Field &wanted) {
  size_t place = 0;
  for (const manifest::Field &field : made.fields) {
    if (field.name == wanted.name)
      return {place, &field};
    place += field.isText() == wanted.isText();
  }
  throw Failure(Exit::Internal, fmt::format("field `{}` was not made", wanted.name));
}

BatchWriter::BatchWriter(const manifest::Batch &batch, const manifest::Batch &made,
                         const HostTensors &destination)
    : Rows(batch.rows), Destination(destination) {
  if (batch.media) {
    ClipBytes = batch.media->frames * 3 * batch.media->height * batch.media->width;
    Pixels = find<uint8_t>(batch.media->name + ".pixels", DType::U8, Rows * ClipBytes);
  }
  for (const manifest::Field &field : batch.fields) {
    auto [from, whole] = placeOf(made, field);
    if (!field.isText()) {
      Labels.emplace_back(from, find<int32_t>(field.name, DType::I32, Rows));
      continue;
    }
    int64_t all = Rows * field.length;
    TextTensors text;
    text.Name = field.name;
    text.From = from;
    text.Cut = field.side == "left" ? whole->length - field.length : 0;
    text.Ids = find<int32_t>(field.name + ".ids", DType::I32, all);
    text.Labels = find<int32_t>(field.name + ".labels", DType::I32, all);
    text.At = find<int32_t>(field.name + ".at", DType::I32, all);
    text.Targets = find<int32_t>(field.name + ".targets", DType::I32, Rows * field.maxTokens);
    text.Length = find<int32_t>(field.name + ".length", DType::I32, Rows);
    text.Supervised = find<float>(field.name + ".supervised", DType::F32, 1);
    text.Positions = field.length;
    text.Visual = field.visual;
    text.MaxTokens = field.maxTokens;
    Texts.push_back(text);
  }
  Ids = find<int32_t>("batch.ids", DType::I32, Rows);
  LocalIds = find<int32_t>("batch.local_ids", DType::I32, Rows);
  Samples = find<float>("batch.samples", DType::F32, 1);
  for (const auto &[name, tensor] : destination)
    if (std::find(Known.begin(), Known.end(), name) == Known.end())
      throw Failure(Exit::Internal, fmt::format("input `{}` is no field of the batch", name));
}

void BatchWriter::row(int64_t row, const RowTexts &texts, const uint8_t *pixels) {
  for (const TextTensors &to : Texts) {
    const TextRow &from = texts.Texts[to.From];
    int64_t first = row * to.Positions;
    if (to.Ids)
      std::copy_n(from.Ids.begin() + to.Cut, to.Positions, to.Ids + first);
    if (to.Labels)
      std::copy_n(from.Labels.begin() + to.Cut, to.Positions, to.Labels + first);
    if (to.Targets) {
      // What a position says is judged at the position before it.
      int32_t *next = to.Targets + row * to.MaxTokens, *end = next + to.MaxTokens;
      for (int64_t at = 1; at < to.Positions; ++at)
        if (from.Labels[at + to.Cut] >= 0 && next != end)
          *next++ = static_cast<int32_t>(first + at - 1);
      std::fill(next, end, -1);
    }
    if (to.Length)
      to.Length[row] = from.Length;
    if (to.At) {
      std::fill_n(to.At + first, to.Positions, -1);
      for (int64_t k = 0; from.VisualAt >= 0 && k < to.Visual; ++k)
        to.At[first + from.VisualAt - to.Cut + k] = static_cast<int32_t>(row * to.Visual + k);
    }
  }
  for (auto [from, to] : Labels)
    if (to)
      to[row] = texts.Labels[from];
  if (Ids)
    Ids[row] = texts.Id;
  if (LocalIds)
    LocalIds[row] = texts.LocalId;
  if (Pixels)
    std::memcpy(Pixels + row * ClipBytes, pixels, ClipBytes);
}

void BatchWriter::emptyRow(int64_t row, const RowTexts &like) {
  RowTexts texts = like;
  for (TextRow &text : texts.Texts)
    std::fill(text.Labels.begin(), text.Labels.end(), TextField::Unsupervised);
  texts.Id = texts.LocalId = -1;
  std::vector<uint8_t> black(Pixels ? ClipBytes : 0);
  this->row(row, texts, black.data());
}

void BatchWriter::totals(const std::map<std::string, int64_t> &supervised, int64_t samples) {
  for (const TextTensors &text : Texts)
    if (text.Supervised)
      *text.Supervised = static_cast<float>(supervised.at(text.Name));
  if (Samples)
    *Samples = static_cast<float>(samples);
}

} // namespace vcc::runtime::data
