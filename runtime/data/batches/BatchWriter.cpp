// SPDX-License-Identifier: Apache-2.0
//
// BatchWriter: rows into the loop's tensors, after their types and sizes have been checked once.
#include "runtime/data/batches/PackedRows.h"
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
  Clips = Rows;
  if (batch.media) {
    const manifest::Media &media = *batch.media;
    int64_t numbers = media.frames * 3 * media.height * media.width;
    Tiled = media.tiles.has_value();
    ClipBytes = Tiled ? numbers * static_cast<int64_t>(sizeof(float)) : numbers;
    Clips = Tiled ? media.tiles->clips : Rows;
    if (Tiled)
      ClipsOfRow = std::min(media.tiles->most + media.tiles->global, Clips - (Rows - 1) * (1 + media.tiles->global));
    std::string name = media.name + ".pixels";
    Pixels = Tiled ? reinterpret_cast<uint8_t *>(find<float>(name, DType::F32, Clips * numbers))
                   : find<uint8_t>(name, DType::U8, Clips * numbers);
    ClipRows = find<int32_t>("batch.clip_rows", DType::I32, Clips);
    ClipPlaces = find<int32_t>("batch.clip_places", DType::I32, Clips);
  }
  for (const manifest::Field &field : batch.fields) {
    auto [from, whole] = placeOf(made, field);
    if (!field.isText()) {
      Labels.emplace_back(from, find<int32_t>(field.name, DType::I32, Rows));
      continue;
    }
    int64_t rows = Rows / field.pack, all = rows * field.rowLength();
    TextTensors text;
    text.Name = field.name;
    text.From = from;
    text.Cut = field.side == "left" ? whole->length - field.length : 0;
    text.Ids = find<int32_t>(field.name + ".ids", DType::I32, all);
    text.Labels = find<int32_t>(field.name + ".labels", DType::I32, all);
    text.At = find<int32_t>(field.name + ".at", DType::I32, all);
    text.Targets = find<int32_t>(field.name + ".targets", DType::I32, rows * field.rowTokens());
    text.Length = find<int32_t>(field.name + ".length", DType::I32, rows);
    if (field.pack > 1) {
      text.Packed = &field;
      text.Starts = find<int32_t>(field.name + ".starts", DType::I32, all);
    }
    text.Supervised = find<float>(field.name + ".supervised", DType::F32, 1);
    text.Positions = field.rowLength();
    text.VisualOfClip = field.visualOfEach();
    text.MaxTokens = field.rowTokens();
    Texts.push_back(text);
  }
  Ids = find<int32_t>("batch.ids", DType::I32, Rows);
  LocalIds = find<int32_t>("batch.local_ids", DType::I32, Rows);
  Samples = find<float>("batch.samples", DType::F32, 1);
  for (const auto &[name, tensor] : destination)
    if (std::find(Known.begin(), Known.end(), name) == Known.end())
      throw Failure(Exit::Internal, fmt::format("input `{}` is no field of the batch", name));
}

void BatchWriter::row(int64_t row, const RowTexts &texts, const uint8_t *pixels, uint32_t clips) {
  if (!Tiled)
    NextClip = row;
  if (Tiled && (clips > ClipsOfRow || NextClip + clips > Clips))
    throw Failure(Exit::Internal, fmt::format("row {} has {} clips, more than the batch holds", row, clips));
  for (const TextTensors &to : Texts) {
    if (to.Packed)
      continue;
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
      for (int64_t k = 0; from.VisualAt >= 0 && k < clips * to.VisualOfClip; ++k)
        to.At[first + from.VisualAt - to.Cut + k] = static_cast<int32_t>(NextClip * to.VisualOfClip + k);
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
    std::memcpy(Pixels + NextClip * ClipBytes, pixels, clips * ClipBytes);
  for (uint32_t k = 0; k < clips; ++k, ++NextClip) {
    if (ClipRows)
      ClipRows[NextClip] = static_cast<int32_t>(row);
    if (ClipPlaces)
      ClipPlaces[NextClip] = static_cast<int32_t>(row * ClipsOfRow + k);
  }
}

int64_t BatchWriter::emptyClips() {
  if (!Tiled)
    return 0;
  int64_t empty = Clips - NextClip;
  if (Pixels)
    std::memset(Pixels + NextClip * ClipBytes, 0, static_cast<size_t>((Clips - NextClip) * ClipBytes));
  for (int32_t *list : {ClipRows, ClipPlaces})
    if (list)
      std::fill(list + NextClip, list + Clips, 0);
  NextClip = Clips;
  return empty;
}

void BatchWriter::packedTexts(const std::vector<const RowTexts *> &samples) {
  for (const TextTensors &to : Texts) {
    if (!to.Packed)
      continue;
    std::vector<const TextRow *> texts;
    for (const RowTexts *sample : samples)
      texts.push_back(&sample->Texts[to.From]);
    packedText(to, texts);
  }
}

void BatchWriter::packedText(const TextTensors &to, const std::vector<const TextRow *> &samples) {
  auto places = packedPlaces(*to.Packed, samples);
  if (!places)
    throw Failure(Exit::Internal, fmt::format("the samples of a micro-batch do not fit into the rows of `{}`", to.Name));
  int64_t rows = static_cast<int64_t>(samples.size()) / to.Packed->pack, all = rows * to.Positions;
  auto clear = [](int32_t *to, int64_t count, int32_t value) {
    if (to)
      std::fill_n(to, count, value);
  };
  clear(to.Ids, all, samples.front()->Padding);
  clear(to.Labels, all, TextField::Unsupervised);
  clear(to.At, all, -1);
  clear(to.Targets, rows * to.MaxTokens, -1);
  clear(to.Length, rows, 0);
  // What is not in use begins at itself, behind the row's length: it sees nothing, and nothing sees it.
  for (int64_t at = 0; to.Starts && at < all; ++at)
    to.Starts[at] = static_cast<int32_t>(at % to.Positions);
  std::vector<int32_t> targets(static_cast<size_t>(rows));
  for (size_t sample = 0; sample < samples.size(); ++sample) {
    const TextRow &from = *samples[sample];
    auto [row, begin] = (*places)[sample];
    int64_t first = row * to.Positions + begin;
    if (to.Ids)
      std::copy_n(from.Ids.begin(), from.Length, to.Ids + first);
    // Nothing stands before a sample's first position that could say it.
    if (to.Labels)
      std::copy_n(from.Labels.begin() + 1, from.Length - 1, to.Labels + first + 1);
    for (int64_t at = 1; to.Targets && at < from.Length; ++at)
      if (from.Labels[at] >= 0)
        to.Targets[row * to.MaxTokens + targets[static_cast<size_t>(row)]++] = static_cast<int32_t>(first + at - 1);
    if (to.Length)
      to.Length[row] += from.Length;
    if (to.Starts)
      std::fill_n(to.Starts + first, from.Length, static_cast<int32_t>(begin));
    for (int64_t k = 0; to.At && from.VisualAt >= 0 && k < to.VisualOfClip; ++k)
      to.At[first + from.VisualAt + k] = static_cast<int32_t>(static_cast<int64_t>(sample) * to.VisualOfClip + k);
  }
}

void BatchWriter::emptyRow(int64_t row, const RowTexts &like) {
  RowTexts texts = like;
  for (TextRow &text : texts.Texts)
    std::fill(text.Labels.begin(), text.Labels.end(), TextField::Unsupervised);
  texts.Id = texts.LocalId = -1;
  std::vector<uint8_t> black(Pixels && !Tiled ? ClipBytes : 0);
  this->row(row, texts, black.data(), Tiled ? 0 : 1);
}

void BatchWriter::totals(const std::map<std::string, int64_t> &supervised, int64_t samples) {
  for (const TextTensors &text : Texts)
    if (text.Supervised)
      *text.Supervised = static_cast<float>(supervised.at(text.Name));
  if (Samples)
    *Samples = static_cast<float>(samples);
}

} // namespace vcc::runtime::data
