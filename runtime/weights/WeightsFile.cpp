// SPDX-License-Identifier: Apache-2.0
//
// Which files are read, and that an index and its shards agree.
#include "runtime/weights/WeightsFile.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace vcc::runtime {

namespace fs = std::filesystem;

[[noreturn]] static void fail(const std::string &path, const std::string &what, const std::string &help = {}) {
  throw Failure(Exit::Data, fmt::format("`{}` {}", path, what), help);
}

WeightsFile::WeightsFile(const std::string &path, const std::string &inside) : Path(path), Inside(inside) {
  std::error_code error;
  if (fs::is_directory(path, error))
    addFolder();
  else if (path.ends_with(".json"))
    addIndex(path);
  else
    addFile(path);
}

void WeightsFile::addFile(const std::string &path) {
  constexpr size_t Head = 64;
  bool isTorch;
  {
    MappedFile file(path);
    isTorch = TorchFile::recognises(file.text().substr(0, Head));
  }
  for (const char *ending : {".pth", ".pt", ".bin", ".ckpt"})
    if (!isTorch && path.ends_with(ending))
      fail(path, "is not what torch.save writes");
  if (!isTorch && !Inside.empty())
    fail(path, fmt::format("is a safetensors file, which has no dictionary `{}` inside", Inside));
  Shard shard{path, nullptr, nullptr};
  std::map<std::string, StoredTensor> found;
  if (isTorch) {
    shard.torch = std::make_unique<TorchFile>(path, Inside);
    found = shard.torch->tensors();
  } else {
    shard.safetensors = std::make_unique<Safetensors>(path);
    for (const auto &[name, view] : shard.safetensors->tensors())
      found[name] = {view.dtype, view.shape, rowMajor(view.shape), view.data, false};
  }
  for (auto &[name, tensor] : found) {
    auto [old, fresh] = ShardOf.emplace(name, Shards.size());
    if (!fresh)
      fail(path, fmt::format("holds `{}`, which another shard holds too: `{}`", name, Shards[old->second].path));
    Tensors.emplace(name, std::move(tensor));
  }
  Shards.push_back(std::move(shard));
}

void WeightsFile::addIndex(const std::string &path) {
  std::map<std::string, std::string> shardOf;
  try {
    MappedFile file(path);
    JsonDocument document(file.text());
    for (const auto &[name, shard] : document.root().at("weight_map").members())
      if (!shardOf.emplace(name, shard.string()).second)
        throw JsonError(fmt::format("names `{}` twice", name));
  } catch (const JsonError &error) {
    fail(path, error.what());
  }
  std::set<std::string> shards;
  for (const auto &[name, shard] : shardOf) {
    if (fs::path(shard).has_parent_path() || shard == ".." || shard == "." || shard.empty())
      fail(path, fmt::format("names shard `{}`, which is not beside it", shard));
    shards.insert(shard);
  }
  if (shards.empty())
    fail(path, "names no shard");
  fs::path folder = fs::path(path).parent_path();
  std::string missing;
  size_t count = 0;
  for (const std::string &shard : shards)
    if (!exists((folder / shard).string()) && ++count)
      missing += (missing.empty() ? "`" : ", `") + shard + "`";
  if (count)
    fail(path, fmt::format("names {} of {} shards that {} not there: {}", count, shards.size(), count == 1 ? "is" : "are", missing),
         "copy or download the folder again");
  for (const std::string &shard : shards)
    addFile((folder / shard).string());
  for (const auto &[name, shard] : shardOf) {
    auto found = ShardOf.find(name);
    if (found == ShardOf.end())
      fail(path, fmt::format("says that `{}` is in `{}`, but it is not", name, shard));
    if (fs::path(Shards[found->second].path).filename() != shard)
      fail(path, fmt::format("says that `{}` is in `{}`, but it is in `{}`", name, shard, Shards[found->second].path));
  }
}

/// What Transformers looks for, in its order; then what stands alone.
void WeightsFile::addFolder() {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(Path, error), end; !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error)
    fail(Path, fmt::format("cannot be read: {}", error.message()));
  std::sort(names.begin(), names.end());
  auto with = [&](std::string_view ending) {
    std::vector<std::string> found;
    for (const std::string &name : names)
      if (name.ends_with(ending))
        found.push_back((fs::path(Path) / name).string());
    return found;
  };
  for (const char *ending : {"safetensors", "bin"}) {
    std::string stem = ending == std::string_view("bin") ? "pytorch_model" : "model";
    for (const std::string &name : {stem + "." + ending, stem + "." + ending + ".index.json"}) {
      // A single file and an index beside each other: the single one is whole.
      if (!std::binary_search(names.begin(), names.end(), name))
        continue;
      std::string path = (fs::path(Path) / name).string();
      return name.ends_with(".json") ? addIndex(path) : addFile(path);
    }
    std::vector<std::string> indices = with(std::string(".") + ending + ".index.json");
    if (indices.size() > 1)
      fail(Path, fmt::format("has several indices, `{}` and `{}`", indices[0], indices[1]), "name one of them in the recipe");
    if (indices.size() == 1)
      return addIndex(indices[0]);
    if (ending == std::string_view("safetensors"))
      for (const std::string &path : with(".safetensors"))
        addFile(path);
    if (!Shards.empty())
      return;
  }
  if (std::binary_search(names.begin(), names.end(), "adapter_model.bin"))
    return addFile((fs::path(Path) / "adapter_model.bin").string());
  fail(Path, "is a folder without `.safetensors` files, `pytorch_model.bin` or an index of either");
}

const StoredTensor *WeightsFile::find(const std::string &name) const {
  auto it = Tensors.find(name);
  return it == Tensors.end() ? nullptr : &it->second;
}

const std::map<std::string, std::string> &WeightsFile::metadata() const {
  static const std::map<std::string, std::string> None;
  return Shards.size() == 1 && Shards[0].safetensors ? Shards[0].safetensors->metadata() : None;
}

std::optional<int64_t> WeightsFile::read(const std::string &name, DType dtype, std::byte *to) {
  const StoredTensor &tensor = Tensors.at(name);
  Shard &shard = Shards[ShardOf.at(name)];
  if (shard.torch)
    shard.torch->check(tensor);
  std::optional<int64_t> lost = readTensor(tensor, dtype, to);
  if (shard.torch)
    shard.torch->release(tensor);
  else
    shard.safetensors->release(tensor.data, tensor.extent());
  return lost;
}

std::string WeightsFile::placeOf(const std::string &name) const {
  const Shard &shard = Shards[ShardOf.at(name)];
  if (!shard.torch || shard.torch->inside().empty())
    return shard.path;
  return fmt::format("{} ({})", shard.path, shard.torch->inside());
}

} // namespace vcc::runtime
