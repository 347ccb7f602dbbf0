// SPDX-License-Identifier: Apache-2.0
//
// Starting weights from stages, files and init.
#include "runtime/weights/Start.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"
#include "runtime/program/Suggest.h"
#include "runtime/weights/Safetensors.h"

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

/// A frozen weight of an earlier stage: the file that it lies in and the hash it had.
struct Reference {
  std::string file, hash;
};

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
      return count(state, source, "init");
    std::string path = fileOf(*source, Options);
    Used[path] = source;
    if (source->kind == Start::Kind::Stage && !Result.stages.count(source->name))
      Result.stages[source->name] = identity(open(path));
    std::string from;
    const TensorView *view = locate(path, state.path, from, 0);
    if (!view) {
      Errors.push_back(fmt::format("`{}` {} is not in `{}`{}", state.path, textOf(state.shape), path,
                                   didYouMean(state.path, namesOf(path))));
      return;
    }
    if (view->shape != state.shape) {
      Errors.push_back(fmt::format("`{}` is {} in `{}`, but the recipe needs {}", state.path,
                                   textOf(view->shape), from, textOf(state.shape)));
      return;
    }
    if (view->dtype != state.dtype) {
      Errors.push_back(fmt::format("`{}` is {} in `{}`, but the recipe needs {}", state.path,
                                   nameOf(view->dtype), from, nameOf(state.dtype)));
      return;
    }
    std::memcpy(address(state), view->data, view->bytes());
    Result.file[state.path] = from;
    count(state, source, from);
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

  const Safetensors &open(const std::string &path) {
    auto &file = Files[path];
    if (!file)
      file = std::make_unique<Safetensors>(path);
    return *file;
  }

  static std::string identity(const Safetensors &file) {
    auto it = file.metadata().find(IdentityKey);
    return it == file.metadata().end() ? std::string() : it->second;
  }

  const std::map<std::string, Reference> &referencesOf(const std::string &path) {
    auto [it, fresh] = References.try_emplace(path);
    if (!fresh)
      return it->second;
    const auto &metadata = open(path).metadata();
    auto text = metadata.find(ReferencesKey);
    if (text == metadata.end())
      return it->second;
    try {
      JsonDocument document(text->second);
      for (const auto &[name, node] : document.root().members())
        it->second[name] = {node.at("file").string(), node.at("hash").string()};
    } catch (const JsonError &error) {
      throw Failure(Exit::Data, fmt::format("`{}` has broken references: {}", path, error.what()));
    }
    return it->second;
  }

  /// A tensor of a file, or of the file that it refers to for a weight which was frozen there.
  const TensorView *locate(const std::string &path, const std::string &name, std::string &from,
                           int depth) {
    constexpr int DeepestChain = 64;
    if (const TensorView *view = open(path).find(name)) {
      from = path;
      return view;
    }
    const auto &references = referencesOf(path);
    auto it = references.find(name);
    if (it == references.end() || depth == DeepestChain)
      return nullptr;
    fs::path target(it->second.file);
    std::string file = target.is_absolute() ? target.string()
                                            : (fs::path(path).parent_path() / target).lexically_normal().string();
    if (!exists(file))
      throw Failure(Exit::Data, fmt::format("`{}` was frozen in `{}` and lies in `{}`, which is not there",
                                            name, path, file));
    const TensorView *view = locate(file, name, from, depth + 1);
    if (view && hexOf(hashOf(view->data, view->bytes())) != it->second.hash)
      throw Failure(Exit::Data,
                    fmt::format("`{}` in `{}` is not what `{}` was trained with", name, from, path),
                    "train the stages after it again, or restore the file");
    return view;
  }

  std::vector<std::string> namesOf(const std::string &path) {
    std::vector<std::string> names;
    for (const auto &[name, view] : open(path).tensors())
      names.push_back(name);
    return names;
  }

  /// A tensor that no stage of the recipe knows is in the wrong file, or its name has changed.
  void reportUnexpected() {
    std::set<std::string> known;
    for (const manifest::Stage &stage : Manifest.stages)
      for (const State &state : stage.states)
        known.insert(state.path);
    std::vector<std::string> candidates(known.begin(), known.end());
    for (const auto &[path, source] : Used)
      for (const auto &[name, view] : open(path).tensors())
        if (!known.count(name))
          Errors.push_back(fmt::format("`{}` holds `{}` {}, which no part of the recipe has{}", path,
                                       name, textOf(view.shape), didYouMean(name, candidates)));
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
  std::map<std::string, std::unique_ptr<Safetensors>> Files;
  std::map<std::string, std::map<std::string, Reference>> References;
  std::map<std::string, const Start *> Used;
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
