// SPDX-License-Identifier: Apache-2.0
//
// Saving and finding checkpoints.
#include "runtime/weights/Checkpoint.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"
#include "runtime/weights/Safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace vcc::runtime {

namespace fs = std::filesystem;
using manifest::State;

static constexpr const char *StateFile = "state.safetensors";
static constexpr const char *DoneFile = "DONE";
static constexpr const char *Prefix = "step-";

/// What a checkpoint holds: all that the next step reads and an earlier step wrote.
static bool isKept(const State &state) {
  switch (state.kind) {
  case State::Kind::Weight:
    return state.trainable && !state.isGroup();
  case State::Kind::Gradient:
    return false; // between two steps gradients are zero or about to be overwritten
  case State::Kind::Moment:
  case State::Kind::Counter:
    return true;
  }
  return false;
}

static bool isFrozen(const State &state) {
  return state.kind == State::Kind::Weight && !state.trainable && !state.isGroup();
}

Checkpoints::Checkpoints(const manifest::Stage &stage, std::string folder, Address address)
    : Stage(stage), Folder(std::move(folder)), At(std::move(address)) {
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(Folder, error))
    if (entry.path().extension() == ".partial")
      fs::remove_all(entry.path(), error);
}

std::string Checkpoints::pathOf(int64_t step) const {
  return (fs::path(Folder) / fmt::format("{}{:08}", Prefix, step)).string();
}

std::vector<int64_t> Checkpoints::steps() const {
  std::vector<int64_t> found;
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(Folder, error)) {
    std::string name = entry.path().filename().string();
    std::string digits = name.rfind(Prefix, 0) == 0 ? name.substr(std::strlen(Prefix)) : "";
    if (digits.empty() || digits.size() > 15 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    found.push_back(std::stoll(digits));
  }
  std::sort(found.begin(), found.end());
  return found;
}

static std::string textOf(const Progress &progress, const Written &file) {
  JsonWriter writer;
  writer.beginObject();
  writer.member("step", progress.step).member("seed", progress.seed);
  writer.member("ranks", progress.ranks).member("log_bytes", progress.logBytes);
  writer.member("program", std::string_view(progress.program));
  writer.member("frozen", std::string_view(progress.frozen));
  writer.key("stages").beginObject();
  for (const auto &[stage, identity] : progress.stages)
    writer.member(stage, std::string_view(identity));
  writer.endObject();
  writer.key("content").beginObject();
  for (const auto &[file, content] : progress.content)
    writer.member(file, std::string_view(content));
  writer.endObject();
  writer.key("unusable").beginObject();
  for (const auto &[dataset, records] : progress.unusable) {
    writer.key(dataset).beginArray();
    for (int64_t record : records)
      writer.value(record);
    writer.endArray();
  }
  writer.endObject();
  writer.member("bytes", file.bytes);
  writer.member("hash", std::string_view(hexOf(file.hash)));
  return writer.endObject().text() + "\n";
}

std::string Checkpoints::save(const Progress &progress) {
  std::string path = pathOf(progress.step), beside = path + ".partial";
  std::error_code error;
  fs::remove_all(beside, error);
  makeFolders(beside);
  std::vector<NamedTensor> tensors;
  for (const State &state : Stage.states)
    if (isKept(state))
      tensors.push_back({state.path, {state.dtype, state.shape, At(state)}});
  Written file = writeSafetensors(beside + "/" + StateFile, tensors, {});
  writeWhole(beside + "/" + DoneFile, textOf(progress, file));
  fs::remove_all(path, error); // the same step, saved before
  renameDurably(beside, path);
  prune(progress.step);
  return path;
}

/// Leaves the checkpoint of `step` and the newest before it. What is newer belongs to a course that was not taken up, and
/// what is damaged must not take the place of one that can be read.
void Checkpoints::prune(int64_t step) {
  std::error_code error;
  auto isDamaged = [&](int64_t other) { return std::find(Damaged.begin(), Damaged.end(), other) != Damaged.end(); };
  std::vector<int64_t> good;
  for (int64_t other : steps())
    if (other > step || (other != step && isDamaged(other)))
      fs::remove_all(pathOf(other), error);
    else
      good.push_back(other);
  for (size_t i = 0; i + size_t(Stage.keep) < good.size(); ++i)
    fs::remove_all(pathOf(good[i]), error);
}

Progress Checkpoints::verify(int64_t step) const {
  std::string path = pathOf(step);
  try {
    std::string text = readWhole(path + "/" + DoneFile);
    JsonDocument document(text);
    JsonNode root = document.root();
    Progress progress;
    progress.step = root.at("step").integer();
    progress.seed = root.at("seed").unsignedInteger();
    progress.ranks = int(root.integerOr("ranks", 1));
    progress.logBytes = root.at("log_bytes").integerAtLeast(0);
    progress.program = root.at("program").string();
    progress.frozen = root.at("frozen").string();
    for (const auto &[stage, identity] : root.at("stages").members())
      progress.stages[stage] = identity.string();
    if (auto content = root.find("content"))
      for (const auto &[file, known] : content->members())
        progress.content[file] = known.string();
    if (auto unusable = root.find("unusable"))
      for (const auto &[dataset, records] : unusable->members())
        for (const JsonNode &record : records.items())
          progress.unusable[dataset].push_back(record.integerAtLeast(0));
    MappedFile file(path + "/" + StateFile);
    if (int64_t(file.size()) != root.at("bytes").integer() ||
        hexOf(hashOf(file.data(), file.size())) != root.at("hash").string())
      throw JsonError("does not have the checksum of its tensors");
    if (progress.step != step)
      throw JsonError(fmt::format("says step {}", progress.step));
    return progress;
  } catch (const JsonError &error) {
    throw Failure(Exit::Data, fmt::format("`{}/{}` {}", path, DoneFile, error.what()));
  }
}

std::optional<Progress> Checkpoints::newest(report::Log &log) {
  Damaged.clear();
  std::vector<int64_t> all = steps();
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    try {
      return verify(*it);
    } catch (const Failure &failure) {
      log.warn(fmt::format("checkpoint passed over: {}", failure.what()));
      Damaged.push_back(*it);
    }
  }
  return std::nullopt;
}

void Checkpoints::load(const Progress &progress) {
  std::string path = pathOf(progress.step) + "/" + StateFile;
  Safetensors file(path);
  size_t expected = 0;
  for (const State &state : Stage.states) {
    if (!isKept(state))
      continue;
    ++expected;
    const TensorView *view = file.find(state.path);
    if (!view)
      throw Failure(Exit::Data, fmt::format("checkpoint `{}` has no `{}`", path, state.path));
    if (view->shape != state.shape || view->dtype != state.dtype)
      throw Failure(Exit::Data, fmt::format("`{}` is {} {} in checkpoint `{}`, but {} {} in this program",
                                            state.path, nameOf(view->dtype), runtime::textOf(view->shape), path,
                                            nameOf(state.dtype), runtime::textOf(state.shape)));
    std::memcpy(At(state), view->data, view->bytes());
  }
  if (file.tensors().size() != expected)
    throw Failure(Exit::Data, fmt::format("checkpoint `{}` holds {} tensors, but this program has {}",
                                          path, file.tensors().size(), expected));
}

void Checkpoints::removeAll() {
  std::error_code error;
  fs::remove_all(Folder, error);
  if (error)
    throw Failure(Exit::Data, fmt::format("cannot remove `{}`: {}", Folder, error.message()));
}

std::string fingerprintOfFrozen(const manifest::Stage &stage, const Address &address) {
  Hash hash;
  for (const State &state : stage.states)
    if (isFrozen(state))
      hash.update(state.path).update(address(state), size_t(state.bytes));
  return hexOf(hash.digest());
}

std::string saveWeights(const manifest::Stage &stage, const std::string &out,
                        const Provenance &provenance, const Progress &progress,
                        const Address &address) {
  std::string path = weightsFileOf(out, stage.name), beside = path + ".partial";
  std::vector<NamedTensor> tensors;
  JsonWriter references, hashes;
  references.beginObject();
  hashes.beginObject();
  Hash identity;
  for (const State &state : stage.states) {
    if (state.kind != State::Kind::Weight || state.isGroup())
      continue;
    auto source = provenance.file.find(state.path);
    uint64_t hash = hashOf(address(state), size_t(state.bytes));
    identity.update(state.path).update(&hash, sizeof hash);
    if (state.trainable || source == provenance.file.end()) {
      tensors.push_back({state.path, {state.dtype, state.shape, address(state)}});
      hashes.member(state.path, std::string_view(hexOf(hash)));
      continue;
    }
    const Place &place = source->second;
    fs::path file = fs::absolute(place.file);
    fs::path relative = file.lexically_relative(fs::absolute(path).parent_path());
    references.key(state.path).beginObject();
    references.member("file", std::string_view((relative.empty() ? file : relative).native()));
    if (!place.inside.empty())
      references.member("inside", std::string_view(place.inside));
    if (place.key != state.path)
      references.member("key", std::string_view(place.key));
    references.member("hash", std::string_view(hexOf(hash))).endObject();
  }
  std::map<std::string, std::string> metadata = {
      {IdentityKey, hexOf(identity.digest())},
      {ReferencesKey, references.endObject().text()},
      {HashesKey, hashes.endObject().text()},
      {"vcc.stage", stage.name},
      {"vcc.step", std::to_string(progress.step)},
      {"format", "pt"}}; // what the field's loaders look for
  makeFolders(fs::path(path).parent_path().string());
  writeSafetensors(beside, tensors, metadata);
  renameDurably(beside, path);
  return path;
}

} // namespace vcc::runtime
