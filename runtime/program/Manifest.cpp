// SPDX-License-Identifier: Apache-2.0
//
// Reading the manifest: states, functions and stages. What data the stages read is parsed in ManifestData.cpp.
#include "runtime/program/Manifest.h"

#include "runtime/program/Failure.h"
#include "runtime/program/ManifestData.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace vcc::runtime::manifest {

static constexpr int64_t Format = 1;

static DType parseDType(const JsonNode &node) {
  std::string name = node.string();
  if (auto type = dtypeOf(name))
    return *type;
  node.fail(fmt::format("is `{}`, which is not an element type", name));
}

static Shape parseShape(const JsonNode &node) {
  Shape shape;
  int64_t elements = 1;
  for (const JsonNode &size : node.items()) {
    shape.push_back(size.integerAtLeast(0));
    if (__builtin_mul_overflow(elements, shape.back(), &elements) || elements > (int64_t(1) << 56))
      node.fail("has more elements than memory can hold");
  }
  return shape;
}

static VccRegion parseRegion(const JsonNode &node) {
  std::string name = node.string();
  if (name == "weights")
    return VCC_REGION_WEIGHTS;
  if (name == "state")
    return VCC_REGION_STATE;
  if (name == "arena")
    return VCC_REGION_ARENA;
  if (name == "io")
    return VCC_REGION_IO;
  node.fail(fmt::format("is `{}`, but `weights`, `state`, `arena` or `io` is needed", name));
}

static int64_t sizeOf(const Stage &stage, VccRegion region) {
  switch (region) {
  case VCC_REGION_WEIGHTS:
    return stage.weightsBytes;
  case VCC_REGION_STATE:
    return stage.stateBytes;
  case VCC_REGION_ARENA:
    return stage.arenaBytes;
  case VCC_REGION_IO:
    return stage.ioBytes;
  default:
    return 0;
  }
}

/// Fails unless [offset, offset + bytes) lies inside the region.
static void checkInside(const JsonNode &node, const Stage &stage, const Place &place,
                        int64_t bytes) {
  int64_t size = sizeOf(stage, place.region);
  if (place.offset > size || bytes > size - place.offset)
    node.fail(fmt::format("ends at byte {}, but its region has {} bytes", place.offset + bytes,
                          size));
}

bool State::isInitialised() const {
  return start.empty() || std::any_of(start.begin(), start.end(), [](const Start &from) { return from.kind == Start::Kind::Init; });
}

static State::Kind parseKind(const JsonNode &node) {
  std::string name = node.string();
  if (name == "weight")
    return State::Kind::Weight;
  if (name == "gradient")
    return State::Kind::Gradient;
  if (name == "moment")
    return State::Kind::Moment;
  if (name == "counter")
    return State::Kind::Counter;
  node.fail(fmt::format("is `{}`, but `weight`, `gradient`, `moment` or `counter` is needed", name));
}

static std::vector<FileKeys> parseKeys(const JsonNode &node) {
  std::vector<FileKeys> made;
  for (const JsonNode &item : node.items()) {
    FileKeys &keys = made.emplace_back();
    keys.inside = item.stringOr("inside", "");
    for (const JsonNode &rule : item.at("rename").items()) {
      auto patterns = rule.items();
      if (patterns.size() != 2)
        rule.fail("needs two patterns");
      keys.rename.push_back({patterns[0].string(), patterns[1].string()});
    }
  }
  return made;
}

static std::vector<Start> parseStart(const JsonNode &node, const Stage &stage) {
  std::vector<Start> sources;
  for (const JsonNode &item : node.items()) {
    if (auto stage = item.find("stage"))
      sources.push_back({Start::Kind::Stage, stage->string()});
    else if (auto file = item.find("file"))
      sources.push_back({Start::Kind::File, file->string(), item.integerOr("keys", -1)});
    else if (item.booleanOr("init", false))
      sources.push_back({Start::Kind::Init, item.stringOr("by", "")});
    else
      item.fail("is none of {\"stage\": ...}, {\"file\": ...}, {\"init\": true}");
    if (sources.back().keys < -1 || sources.back().keys >= int64_t(stage.keys.size()))
      item.fail(fmt::format("names `keys` {}, but the stage has {}", sources.back().keys, stage.keys.size()));
  }
  return sources;
}

static State parseState(const JsonNode &node, const Stage &stage) {
  State state;
  state.path = node.at("path").string();
  state.kind = parseKind(node.at("kind"));
  state.shape = parseShape(node.at("shape"));
  state.dtype = parseDType(node.at("dtype"));
  state.place = {parseRegion(node.at("region")), node.at("offset").integerAtLeast(0)};
  int64_t expected = elementsOf(state.shape) * bytesOf(state.dtype);
  auto bytes = node.find("bytes");
  state.bytes = bytes ? bytes->integerAtLeast(0) : expected;
  if (state.bytes < expected)
    node.fail(fmt::format("has {} bytes, but {} {} needs {}", state.bytes, nameOf(state.dtype),
                          textOf(state.shape), expected));
  state.bytes = expected;
  checkInside(node, stage, state.place, state.bytes);
  state.trainable = node.booleanOr("trainable", false);
  state.transposed = node.booleanOr("transposed", false);
  if (state.transposed && (state.shape.size() != 2 || state.place.region != VCC_REGION_WEIGHTS))
    node.fail("is transposed, but no frozen matrix");
  state.group = node.integerOr("group", -1);
  if (auto gradient = node.find("gradient")) {
    state.gradient = Place{parseRegion(gradient->at("region")),
                           gradient->at("offset").integerAtLeast(0)};
    checkInside(*gradient, stage, *state.gradient, state.bytes);
  }
  if (auto start = node.find("start"))
    state.start = parseStart(*start, stage);
  return state;
}

static std::vector<Port> parsePorts(const JsonNode &function, std::string_view key,
                                    const Stage &stage) {
  std::vector<Port> ports;
  auto list = function.find(key);
  if (!list)
    return ports;
  std::set<std::string> names;
  for (const JsonNode &node : list->items()) {
    Port port;
    port.name = node.at("name").string();
    port.dtype = parseDType(node.at("dtype"));
    port.shape = parseShape(node.at("shape"));
    port.offset = node.at("offset").integerAtLeast(0);
    checkInside(node, stage, {VCC_REGION_IO, port.offset}, port.bytes());
    if (!names.insert(port.name).second)
      node.fail(fmt::format("names `{}` a second time", port.name));
    ports.push_back(std::move(port));
  }
  return ports;
}

static Function::Role parseRole(const JsonNode &node) {
  std::string name = node.string();
  if (name == "micro")
    return Function::Role::Micro;
  if (name == "update")
    return Function::Role::Update;
  if (name == "init")
    return Function::Role::Init;
  if (name == "evaluate")
    return Function::Role::Evaluate;
  node.fail(fmt::format("is `{}`, but `micro`, `update`, `init` or `evaluate` is needed", name));
}

static Function parseFunction(const JsonNode &node, int64_t position, const Stage &stage) {
  Function function;
  function.role = parseRole(node.at("role"));
  function.variant = node.stringOr("variant", "main");
  function.name = node.stringOr("name", node.at("role").string());
  function.index = node.integerOr("index", position);
  if (function.index < 0)
    node.fail("has a negative index");
  function.inputs = parsePorts(node, "inputs", stage);
  function.outputs = parsePorts(node, "outputs", stage);
  return function;
}

static void parseStates(const JsonNode &node, Stage &stage) {
  std::set<std::string> paths;
  for (const JsonNode &item : node.at("states").items()) {
    stage.states.push_back(parseState(item, stage));
    if (!paths.insert(stage.states.back().path).second)
      item.fail(fmt::format("names `{}` a second time", stage.states.back().path));
  }
}

/// A weight that says no gradient has it in its group's flat gradient, where it lies in the flat weight.
static void findGradients(Stage &stage) {
  std::map<std::string, Place> flat;
  for (const State &state : stage.states)
    if (state.isGroup())
      flat[state.path] = state.place;
  for (State &state : stage.states) {
    if (state.isGroup() || !state.trainable || state.gradient || state.group < 0)
      continue;
    auto weight = flat.find(fmt::format("group{}:weight", state.group));
    auto gradient = flat.find(fmt::format("group{}:gradient", state.group));
    if (weight == flat.end() || gradient == flat.end() ||
        state.place.region != weight->second.region || state.place.offset < weight->second.offset)
      continue;
    Place place{gradient->second.region,
                gradient->second.offset + state.place.offset - weight->second.offset};
    if (place.offset <= sizeOf(stage, place.region) - state.bytes)
      state.gradient = place;
  }
}

static void parseComponents(const JsonNode &node, Stage &stage) {
  auto list = node.find("components");
  if (!list)
    return;
  for (const JsonNode &item : list->items())
    stage.components.push_back({item.at("name").string(), item.stringOr("role", ""),
                                item.integerOr("parameters", 0), item.integerOr("trainable", 0)});
}

static void parseRegions(const JsonNode &node, Stage &stage) {
  JsonNode regions = node.at("regions");
  stage.weightsBytes = regions.at("weights").integerAtLeast(0);
  stage.stateBytes = regions.at("state").integerAtLeast(0);
  stage.arenaBytes = regions.at("arena").integerAtLeast(0);
  stage.ioBytes = regions.at("io").integerAtLeast(0);
}

static Stage parseStage(const JsonNode &node, const Manifest &manifest) {
  Stage stage;
  stage.number = node.integerOr("number", 0);
  stage.name = node.at("name").string();
  if (stage.name.empty() || stage.name[0] == '.' ||
      stage.name.find_first_of("/\\:") != std::string::npos)
    node.fail(fmt::format("is named `{}`, which cannot name a folder", stage.name));
  stage.model = node.stringOr("model", "");
  stage.identity = node.stringOr("identity", "");
  stage.precision = node.stringOr("precision", "f32");
  stage.steps = node.integerOr("steps", 0);
  stage.epochs = node.numberOr("epochs", 0);
  if (stage.steps < 0 || stage.epochs < 0 || (stage.steps == 0 && stage.epochs == 0))
    node.fail("needs `steps` or `epochs` above zero");
  stage.accumulate = node.integerOr("accumulate", 1);
  if (stage.accumulate < 1)
    node.fail("`accumulate` must be at least 1");
  if (auto parallel = node.find("parallel")) {
    stage.parallel = true;
    stage.ranks = parallel->integerOr("ranks", 0);
    if (std::string shard = parallel->at("shard").string(); shard != "none")
      parallel->at("shard").fail(fmt::format("is `{}`, but this runtime knows `none`", shard));
    if (stage.ranks < 0)
      parallel->fail("`ranks` must be at least 1");
  }
  if (auto scale = node.find("loss_scale")) {
    LossScale made{scale->at("scale").number(), scale->at("growth").number(), scale->at("backoff").number(), scale->at("interval").integer()};
    if (!(made.scale >= 1 && made.growth >= 1 && made.backoff > 0 && made.backoff < 1 && made.interval >= 1))
      scale->fail("is no scale of a loss that can move");
    stage.lossScale = made;
  }
  stage.across = node.stringOr("across", stage.across);
  if (stage.across != "mixed" && stage.across != "one_modality" && stage.across != "every_modality")
    node.at("across").fail(fmt::format("is `{}`, but `mixed`, `one_modality` or `every_modality` is needed", stage.across));
  stage.rest = node.stringOr("rest", stage.rest);
  if (stage.rest != "step" && stage.rest != "carry")
    node.at("rest").fail(fmt::format("is `{}`, but `step` or `carry` is needed", stage.rest));
  if (auto seed = node.find("seed"))
    stage.seed = seed->unsignedInteger();
  parseComponents(node, stage);
  parseRegions(node, stage);
  if (auto keys = node.find("keys"))
    stage.keys = parseKeys(*keys);
  parseStates(node, stage);
  findGradients(stage);
  int64_t position = 0;
  for (const JsonNode &item : node.at("functions").items())
    stage.functions.push_back(parseFunction(item, position++, stage));
  if (!stage.find(Function::Role::Micro))
    node.fail("has no function of role `micro`");
  parseStageData(node, manifest, stage);
  for (const Evaluation &evaluation : stage.evaluations)
    if (!stage.find(Function::Role::Evaluate, evaluation.function))
      node.fail(fmt::format("needs function `{}` for evaluation `{}`, and does not have it", evaluation.function, evaluation.name));
  if (auto save = node.find("save")) {
    stage.save = parseWhen(save->at("when"));
    stage.keep = save->integerOr("keep", 1);
    if (stage.keep < 1)
      save->fail("`keep` must be at least 1");
  }
  if (auto log = node.find("log"))
    stage.log = parseWhen(*log);
  return stage;
}

static void checkSources(const Manifest &manifest) {
  for (const Stage &stage : manifest.stages)
    for (const State &state : stage.states)
      for (const Start &start : state.start)
        if (start.kind == Start::Kind::Stage && !manifest.findStage(start.name))
          throw JsonError(fmt::format("`{}` of stage `{}` starts from stage `{}`, which is not there",
                                      state.path, stage.name, start.name));
}

static Manifest parse(const JsonNode &root) {
  int64_t format = root.at("format").integer();
  if (format != Format)
    root.at("format").fail(fmt::format("is {}, but this runtime reads {}", format, Format));
  Manifest manifest;
  manifest.recipe = root.at("recipe").string();
  manifest.vcc = root.stringOr("vcc", "");
  manifest.cpu = root.stringOr("cpu", "");
  manifest.target = root.stringOr("target", "cpu");
  if (auto features = root.find("features"))
    for (const JsonNode &feature : features->items())
      manifest.features.push_back(feature.string());
  parseData(root, manifest);
  std::set<std::string> names;
  for (const JsonNode &node : root.at("stages").items()) {
    manifest.stages.push_back(parseStage(node, manifest));
    if (!names.insert(manifest.stages.back().name).second)
      node.fail(fmt::format("names stage `{}` a second time", manifest.stages.back().name));
  }
  checkSources(manifest);
  return manifest;
}

Manifest parseManifest(std::string_view json) {
  try {
    JsonDocument document(json);
    return parse(document.root());
  } catch (const JsonError &error) {
    throw Failure(Exit::Internal, fmt::format("the program's manifest {}", error.what()));
  }
}

const Function *Stage::find(Function::Role role, std::string_view which) const {
  for (const Function &function : functions)
    if (function.role == role &&
        (which.empty() || function.variant == which || function.name == which))
      return &function;
  return nullptr;
}

const Stage *Manifest::findStage(std::string_view nameOrNumber) const {
  for (const Stage &stage : stages)
    if (stage.name == nameOrNumber)
      return &stage;
  for (const Stage &stage : stages)
    if (stage.number != 0 && std::to_string(stage.number) == nameOrNumber)
      return &stage;
  return nullptr;
}

} // namespace vcc::runtime::manifest
