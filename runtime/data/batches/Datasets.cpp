// SPDX-License-Identifier: Apache-2.0
//
// Opening and joining datasets, and counting what is bad in them.
#include "runtime/data/batches/Datasets.h"
#include "runtime/data/SampleError.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

RecordSchema schemaOf(const manifest::Record &record) {
  RecordSchema schema{record.mediaKeys, record.turnsKey, record.turnFields, "", "", record.fields};
  if (auto caption = record.fields.find("caption"); caption != record.fields.end())
    schema.CaptionKey = caption->second;
  if (auto text = record.fields.find("text"); text != record.fields.end())
    schema.TextKey = text->second;
  return schema;
}

} // namespace

Datasets::Datasets(const manifest::Manifest &manifest, const std::vector<std::string> &names,
                   const std::string &dir) {
  for (const std::string &name : names) {
    auto declared = manifest.datasets.find(name);
    if (declared == manifest.datasets.end())
      throw Failure(Exit::Internal, fmt::format("dataset `{}` is not declared", name));
    std::filesystem::path root(dir);
    auto file = std::make_unique<RecordFile>((root / declared->second.file).string(),
                                             schemaOf(declared->second.record));
    if (file->size() == 0)
      throw Failure(Exit::Data, fmt::format("{}: dataset `{}` has no records", file->path(), name));
    uint64_t count = file->size();
    Parts.push_back(
        {&declared->second, std::move(file), (root / declared->second.media).string(), Total, {}});
    Total += count;
  }
  if (Total == 0)
    throw Failure(Exit::Internal, "a batch names no dataset");
}

const Datasets::Part &Datasets::part(uint64_t index) const {
  auto after =
      std::upper_bound(Parts.begin(), Parts.end(), index,
                       [](uint64_t value, const Part &part) { return value < part.Begin; });
  return *std::prev(after);
}

const Datasets::Part &Datasets::named(const std::string &dataset) const {
  for (const Part &part : Parts)
    if (part.Declared->name == dataset)
      return part;
  throw Failure(Exit::Internal, fmt::format("dataset `{}` is not one of the batch", dataset));
}

std::pair<const std::string &, uint64_t> Datasets::place(uint64_t index) const {
  const Part &from = part(index);
  return {from.Declared->name, index - from.Begin};
}

void Datasets::read(uint64_t index, Record &into) const {
  const Part &from = part(index);
  from.File->read(index - from.Begin, into);
}

ClipSource Datasets::media(uint64_t index, const Record &record) const {
  const Part &from = part(index);
  std::optional<std::string> name = record.media();
  if (!name)
    throw SampleError(
        fmt::format("{}: the format of dataset `{}` has no media, but the batch has a clip",
                    from.File->path(), from.Declared->name));
  return {(std::filesystem::path(from.Folder) / *name).lexically_normal().string(), from.Declared->frames == "folder", from.Declared->rate};
}

std::string Datasets::name(uint64_t index) const {
  const Part &from = part(index);
  return fmt::format("{}: record {}", from.File->path(), index - from.Begin);
}

std::map<std::string, std::string> Datasets::content() const {
  std::map<std::string, std::string> all;
  for (const Part &part : Parts)
    all.try_emplace(part.Declared->file, part.File->content());
  return all;
}

void Datasets::refuse(uint64_t index, const std::string &reason) {
  std::lock_guard lock(Mutex);
  Part &from = const_cast<Part &>(part(index));
  // Whoever meets a bad sample once there are too many ends the run: the one that was one too many may have been met for a step that
  // nobody asks for any more.
  from.Bad.insert(index);
  double allowed = from.Declared->skip * static_cast<double>(from.File->size());
  if (static_cast<double>(from.Bad.size()) <= allowed)
    return;
  if (from.Declared->skip == 0)
    throw Failure(
        Exit::Data, reason,
        fmt::format(
            "mend or remove the sample, or declare `on_error: skip up to 1%` for dataset `{}`",
            from.Declared->name));
  throw Failure(Exit::Data, fmt::format("{} of {} samples of dataset `{}` cannot be used, more "
                                        "than the {:g}% that may be skipped; "
                                        "the last: {}",
                                        from.Bad.size(), from.File->size(), from.Declared->name,
                                        from.Declared->skip * 100, reason));
}

std::map<std::string, std::vector<int64_t>> Datasets::refused() const {
  std::lock_guard lock(Mutex);
  std::map<std::string, std::vector<int64_t>> records;
  for (const Part &part : Parts)
    for (uint64_t index : part.Bad)
      records[part.Declared->name].push_back(static_cast<int64_t>(index - part.Begin));
  return records;
}

void Datasets::noteRefused(const std::map<std::string, std::vector<int64_t>> &records) {
  std::lock_guard lock(Mutex);
  for (Part &part : Parts)
    if (auto known = records.find(part.Declared->name); known != records.end())
      for (int64_t record : known->second)
        if (record >= 0 && static_cast<uint64_t>(record) < part.File->size())
          part.Bad.insert(part.Begin + static_cast<uint64_t>(record));
}

} // namespace vcc::runtime::data
