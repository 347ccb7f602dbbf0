// SPDX-License-Identifier: Apache-2.0
//
// Starting weights from stages, files and init.
#include "runtime/weights/Start.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"
#include "runtime/program/Suggest.h"
#include "runtime/weights/KeyMap.h"
#include "runtime/weights/WeightsFile.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <set>

namespace vcc::runtime {

namespace fs = std::filesystem;
using manifest::Start;
using manifest::State;

std::string weightsFileOf(const std::string &out, const std::string &stage) {
  return (fs::path(out) / stage / "weights.safetensors").string();
}

std::string identityOf(const std::string &out, const std::string &stage) {
  std::string path = weightsFileOf(out, stage);
  if (!exists(path))
    return {};
  Safetensors file(path);
  auto it = file.metadata().find(IdentityKey);
  return it == file.metadata().end() ? std::string() : it->second;
}

namespace {

constexpr size_t ShownErrors = 8;

std::string fileOf(const Start &start, const StartOptions &options) {
  return start.kind == Start::Kind::Stage ? weightsFileOf(options.out, start.name)
                                          : (fs::path(options.weights) / start.name).string();
}

/// A frozen weight of an earlier stage: where it lies and the hash it had.
struct Reference {
  Place place;
  std::string hash;
};

/// A file and the dictionary of it.
using FileName = std::pair<std::string, std::string>;

class Reader {
public:
  Reader(const manifest::Manifest &manifest, const manifest::Stage &stage,
         const StartOptions &options)
      : Manifest(manifest), Stage(stage), Options(options) {}

  Provenance read(const std::function<std::byte *(const State &)> &address) {
    for (const State &state : Stage.states)
      if (state.kind == State::Kind::Weight && !state.isGroup() &&
          (Options.trained || !state.trainable))
        readWeight(state, address);
    reportUnexpected();
    reportErrors();
    return std::move(Result);
  }

private:
  void readWeight(const State &state, const std::function<std::byte *(const State &)> &address) {
    const Start *source = choose(state);
    if (!source || source->kind == Start::Kind::Init)
      return count(state, source, source && !source->name.empty() ? "init " + source->name : "init");
    FileName name = {fileOf(*source, Options), keysOf(*source) ? keysOf(*source)->inside : ""};
    Used[name].insert(source->keys);
    if (source->kind == Start::Kind::File)
      Given.insert(name);
    if (source->kind == Start::Kind::Stage && !Result.stages.count(source->name))
      Result.stages[source->name] = identity(open(name));
    Place place{name.first, name.second, keyOf(name, *source, state)};
    std::vector<std::pair<std::string, std::string>> hashes; // and the file that tells it
    if (!follow(place, hashes, 0)) {
      Lacking.push_back(state.path);
      Errors.push_back(fmt::format("`{}` {} is not in `{}`{}", state.path, textOf(state.shape), name.first,
                                   didYouMean(state.path, map(name, source->keys).paths())));
      return;
    }
    WeightsFile &file = open({place.file, place.inside});
    const StoredTensor &tensor = *file.find(place.key);
    std::string from = file.placeOf(place.key), what = place.key == state.path ? "" : fmt::format(" (`{}` there)", place.key);
    if (tensor.shape != state.shape) {
      Errors.push_back(fmt::format("`{}` is {} in `{}`{}, but the recipe needs {}", state.path, textOf(tensor.shape), from, what,
                                   textOf(state.shape)));
      return;
    }
    if (!isReadable(tensor.dtype, state.dtype)) {
      Errors.push_back(fmt::format("`{}` is {} in `{}`{}, but the recipe needs {}", state.path, nameOf(tensor.dtype), from, what,
                                   nameOf(state.dtype)));
      return;
    }
    auto lost = file.read(place.key, state.dtype, address(state));
    Ends = Ends || (lost && state.dtype == DType::F16);
    if (lost)
      Errors.push_back(fmt::format("`{}` has at element {} in `{}`{} a number that {} cannot hold", state.path, *lost, from, what,
                                   nameOf(state.dtype)));
    if (source->kind == Start::Kind::Stage && hashes.empty()) // whoever refers to a weight knows its hash
      checkWhole(name, place, state, address(state), source->name);
    for (const auto &[hash, teller] : hashes)
      if (!hasHash(file, place, state, address(state), hash))
        throw Failure(Exit::Data, fmt::format("`{}` in `{}` is not what `{}` was trained with", place.key, place.file, teller),
                      "train the stages after it again, or restore the file");
    Taken[name].insert(place.file == name.first ? place.key : "");
    Result.file[state.path] = place;
    count(state, source, from);
  }

  /// Whether the weight is what a stage hashed, which may have stored it in another float type.
  static bool hasHash(WeightsFile &file, const Place &place, const State &state, const std::byte *bytes, const std::string &hash) {
    if (hexOf(hashOf(bytes, size_t(state.bytes))) == hash)
      return true;
    for (DType other : {DType::F32, DType::BF16, DType::F16}) {
      if (other == state.dtype || !isReadable(file.find(place.key)->dtype, other))
        continue;
      std::vector<std::byte> read(size_t(elementsOf(state.shape) * bytesOf(other)));
      file.read(place.key, other, read.data());
      if (hexOf(hashOf(read.data(), read.size())) == hash)
        return true;
    }
    return false;
  }

  /// Whether a weight is what its stage wrote.
  void checkWhole(const FileName &name, const Place &place, const State &state, const std::byte *bytes, const std::string &stage) {
    auto [it, fresh] = Hashes.try_emplace(name);
    const auto &metadata = open(name).metadata();
    try {
      if (auto text = metadata.find(HashesKey); fresh && text != metadata.end()) {
        JsonDocument document(text->second);
        for (const auto &[path, node] : document.root().members())
          it->second[path] = node.string();
      }
    } catch (const JsonError &error) {
      throw Failure(Exit::Data, fmt::format("`{}` has broken checksums: {}", name.first, error.what()));
    }
    if (auto known = it->second.find(place.key); known != it->second.end() && !hasHash(open(name), place, state, bytes, known->second))
      throw Failure(Exit::Data, fmt::format("`{}` in `{}` does not have the checksum that it was written with: the file is damaged", place.key, name.first),
                    fmt::format("remove the file, and `--stage {}` writes it again from its newest checkpoint", stage));
  }

  const manifest::FileKeys *keysOf(const Start &source) const { return source.keys < 0 ? nullptr : &Stage.keys[size_t(source.keys)]; }

  /// The key of a weight in a file: its own path where the file may only refer to it.
  std::string keyOf(const FileName &name, const Start &source, const State &state) {
    const std::vector<std::string> &keys = map(name, source.keys).keysOf(state.path);
    if (keys.empty())
      return state.path;
    for (size_t i = 1; i < keys.size(); ++i)
      if (!isSame(*open(name).find(keys[0]), *open(name).find(keys[i])))
        Errors.push_back(fmt::format("`{}` and `{}` of `{}` differ, but both become `{}`", keys[0], keys[i], name.first, state.path));
    return keys[0];
  }

  void count(const State &state, const Start *chosen, const std::string &from) {
    std::string wanted;
    for (const Start &start : state.start) {
      if (&start == chosen || !chosen)
        break;
      wanted += (wanted.empty() ? "" : " and ") + fileOf(start, Options);
    }
    std::string part = state.path.substr(0, state.path.find('.'));
    for (Source &source : Result.sources)
      if (source.part == part && source.from == from && source.wanted == wanted) {
        ++source.weights;
        return;
      }
    Result.sources.push_back({part, from, wanted, 1});
  }

  /// The first source that exists; the last one is the one missed where none does.
  const Start *choose(const State &state) {
    if (state.start.empty())
      return nullptr;
    for (const Start &start : state.start)
      if (start.kind == Start::Kind::Init || exists(fileOf(start, Options)))
        return &start;
    std::string wanted;
    for (const Start &start : state.start)
      wanted += (wanted.empty() ? "`" : " or `") + fileOf(start, Options) + "`";
    Missing[wanted].push_back(&state);
    return nullptr;
  }

  WeightsFile &open(const FileName &name) {
    auto &file = Files[name];
    if (!file)
      file = std::make_unique<WeightsFile>(name.first, name.second);
    return *file;
  }

  const KeyMap &map(const FileName &name, int64_t keys) {
    auto &made = Maps[{name, keys}];
    if (!made) {
      std::vector<std::string> names;
      for (const auto &[key, tensor] : open(name).tensors())
        names.push_back(key);
      made = std::make_unique<KeyMap>(keys < 0 ? nullptr : &Stage.keys[size_t(keys)], names);
    }
    return *made;
  }

  static std::string identity(const WeightsFile &file) {
    auto it = file.metadata().find(IdentityKey);
    return it == file.metadata().end() ? std::string() : it->second;
  }

  const std::map<std::string, Reference> &referencesOf(const FileName &name) {
    auto [it, fresh] = References.try_emplace(name);
    if (!fresh)
      return it->second;
    const auto &metadata = open(name).metadata();
    auto text = metadata.find(ReferencesKey);
    if (text == metadata.end())
      return it->second;
    try {
      JsonDocument document(text->second);
      for (const auto &[path, node] : document.root().members())
        it->second[path] = {{node.at("file").string(), node.stringOr("inside", ""), node.stringOr("key", path)},
                            node.at("hash").string()};
    } catch (const JsonError &error) {
      throw Failure(Exit::Data, fmt::format("`{}` has broken references: {}", name.first, error.what()));
    }
    return it->second;
  }

  /// Brings `place` to where the tensor lies: there, or in the file that is referred to for a weight which was frozen.
  bool follow(Place &place, std::vector<std::pair<std::string, std::string>> &hashes, int depth) {
    constexpr int DeepestChain = 64;
    FileName name = {place.file, place.inside};
    if (open(name).find(place.key))
      return true;
    const auto &references = referencesOf(name);
    auto it = references.find(place.key);
    if (it == references.end() || depth == DeepestChain)
      return false;
    fs::path target(it->second.place.file);
    std::string file = target.is_absolute() ? target.string()
                                            : (fs::path(place.file).parent_path() / target).lexically_normal().string();
    if (!exists(file))
      throw Failure(Exit::Data, fmt::format("`{}` was frozen in `{}` and lies in `{}`, which is not there",
                                            place.key, place.file, file));
    hashes.push_back({it->second.hash, place.file});
    place = {file, it->second.place.inside, it->second.place.key};
    return follow(place, hashes, depth + 1);
  }

  /// A tensor that no stage of the recipe knows is in the wrong file, or its name has changed, or it must be left out in words.
  void reportUnexpected() {
    std::set<std::string> known;
    for (const manifest::Stage &stage : Manifest.stages)
      for (const State &state : stage.states)
        known.insert(state.path);
    std::vector<std::string> candidates(known.begin(), known.end());
    for (const auto &[name, maps] : Used) {
      FileUse use{name.first};
      for (const auto &[key, tensor] : open(name).tensors()) {
        bool isKnown = false, leftOut = false;
        for (int64_t keys : maps) {
          const std::string &path = map(name, keys).pathOf(key);
          leftOut |= path.empty();
          isKnown |= known.count(path) > 0;
        }
        ++use.tensors;
        use.leftOut += !isKnown && leftOut;
        use.unused += isKnown && !Taken[name].count(key);
        if (isKnown || leftOut)
          continue;
        Unknown.push_back(key);
        Errors.push_back(fmt::format("`{}` holds `{}` {}, which no part of the recipe has{}", name.first, key,
                                     textOf(tensor.shape), didYouMean(key, candidates)));
      }
      for (int64_t keys : maps)
        for (const std::string &rule : map(name, keys).idle())
          Errors.push_back(fmt::format("`{}` has no key that `rename {{ {} }}` speaks of", name.first, rule));
      if (Given.count(name))
        Result.uses.push_back(use);
    }
  }

  void reportErrors() {
    std::string help;
    for (const auto &[wanted, states] : Missing) {
      Errors.push_back(fmt::format("{} weight{} ({}{}) start{} from {}, which is not there",
                                   states.size(), states.size() == 1 ? "" : "s",
                                   "`" + states[0]->path + "`", states.size() > 1 ? ", ..." : "",
                                   states.size() == 1 ? "s" : "", wanted));
      if (states[0]->start[0].kind == Start::Kind::Stage)
        help = fmt::format("run `--stage {}` first, with the same --out", states[0]->start[0].name);
      else
        help = "name the folder of the weights by --weights";
    }
    if (Errors.empty())
      return;
    if (help.empty() && Ends)
      help = "f16 ends at 65504; `precision bf16` has the range of f32";
    if (std::string rule = suggestRename(Lacking, Unknown); help.empty() && !rule.empty())
      help = fmt::format("the names differ by their beginnings: say `{}` after the file in the recipe", rule);
    else if (help.empty() && !Unknown.empty())
      help = "what is not wanted of a file is left out in words: `rename { \"pattern.*\" -> \"\" }` after the file in the recipe";
    std::string text = fmt::format("stage `{}` cannot start:", Stage.name);
    for (size_t i = 0; i < std::min(Errors.size(), ShownErrors); ++i)
      text += "\n  " + Errors[i];
    if (Errors.size() > ShownErrors)
      text += fmt::format("\n  and {} more", Errors.size() - ShownErrors);
    throw Failure(Exit::Data, text, help);
  }

  const manifest::Manifest &Manifest;
  const manifest::Stage &Stage;
  const StartOptions &Options;
  Provenance Result;
  std::map<FileName, std::unique_ptr<WeightsFile>> Files;
  std::map<std::pair<FileName, int64_t>, std::unique_ptr<KeyMap>> Maps;
  std::map<FileName, std::map<std::string, Reference>> References;
  std::map<FileName, std::map<std::string, std::string>> Hashes;
  std::map<FileName, std::set<int64_t>> Used;
  std::map<FileName, std::set<std::string>> Taken;
  std::set<FileName> Given; // by the recipe, not left by a stage
  std::vector<std::string> Lacking, Unknown; // paths without a key, keys without a path
  bool Ends = false; // a number lies beyond f16
  std::map<std::string, std::vector<const State *>> Missing;
  std::vector<std::string> Errors;
};

} // namespace

Provenance startWeights(const manifest::Manifest &manifest, const manifest::Stage &stage,
                        const StartOptions &options,
                        const std::function<std::byte *(const State &)> &address) {
  return Reader(manifest, stage, options).read(address);
}

std::vector<std::string> missingSources(const manifest::Stage &stage, const StartOptions &options) {
  std::set<std::string> missing;
  for (const State &state : stage.states) {
    if (state.kind != State::Kind::Weight || state.isGroup() || state.start.empty())
      continue;
    bool found = false;
    for (const Start &start : state.start)
      found |= start.kind == Start::Kind::Init || exists(fileOf(start, options));
    if (!found)
      missing.insert(fileOf(state.start[0], options));
  }
  return {missing.begin(), missing.end()};
}

} // namespace vcc::runtime
