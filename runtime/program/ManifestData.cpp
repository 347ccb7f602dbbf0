// SPDX-License-Identifier: Apache-2.0
//
// Reading the manifest: declarations of data and the batches built from them.
#include "runtime/program/ManifestData.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace vcc::runtime::manifest {

/// The word under `key`, `otherwise` where none stands there: one of `known`.
static std::string wordOr(const JsonNode &node, std::string_view key, const std::string &otherwise,
                          std::initializer_list<std::string_view> known) {
  std::string word = node.stringOr(key, otherwise);
  if (word == otherwise || std::find(known.begin(), known.end(), word) != known.end())
    return word;
  std::string list;
  for (auto each = known.begin(); each != known.end(); ++each)
    list += fmt::format("{}`{}`", each == known.begin() ? "" : each + 1 == known.end() ? " or " : ", ", *each);
  node.at(key).fail(fmt::format("is `{}`, but {} is needed", word, list));
}

When parseWhen(const JsonNode &node) {
  if (node.isString()) {
    if (node.string() != "end")
      node.fail(fmt::format("is `{}`, but `end`, {{\"steps\": N}} or {{\"epochs\": X}} is needed", node.string()));
    return {};
  }
  if (double epochs = node.numberOr("epochs", 0); epochs != 0) {
    if (!(epochs > 0))
      node.fail("`epochs` must be above zero");
    return {0, epochs};
  }
  return {node.at("steps").integerAtLeast(1), 0};
}

static Tokenizer parseTokenizer(const std::string &name, const JsonNode &node) {
  Tokenizer tokenizer;
  tokenizer.name = name;
  tokenizer.kind = node.at("kind").string();
  if (tokenizer.kind != "sentencepiece" && tokenizer.kind != "wordpiece")
    node.at("kind").fail(fmt::format("is `{}`, but `sentencepiece` or `wordpiece` is needed",
                                     tokenizer.kind));
  tokenizer.file = node.at("file").string();
  tokenizer.vocab = node.at("vocab").integerAtLeast(1);
  tokenizer.lowercase = node.booleanOr("lowercase", false);
  if (auto added = node.find("added"))
    for (const JsonNode &token : added->items())
      tokenizer.added.push_back(token.string());
  tokenizer.addedTakeSpace = node.booleanOr("added_take_space", false);
  return tokenizer;
}

static Record parseRecord(const JsonNode &node) {
  Record record;
  if (auto media = node.find("media"))
    for (const JsonNode &key : media->at("keys").items())
      record.mediaKeys.push_back(key.string());
  if (auto turns = node.find("turns")) {
    record.turnsKey = turns->at("key").string();
    for (const auto &[field, key] : turns->at("fields").members())
      record.turnFields[field] = key.string();
  }
  if (auto fields = node.find("fields"))
    for (const auto &[field, key] : fields->members())
      record.fields[field] = key.string();
  for (const char *role : {"caption", "text"})
    if (auto key = node.find(role))
      record.fields[role] = key->isString() ? key->string() : key->at("key").string();
  return record;
}

static Dataset parseDataset(const std::string &name, const JsonNode &node) {
  Dataset dataset;
  dataset.name = name;
  dataset.file = node.at("file").string();
  dataset.media = node.stringOr("media", "");
  dataset.record = parseRecord(node.at("record"));
  if (auto onError = node.find("on_error"))
    dataset.skip = onError->numberOr("skip", 0);
  if (dataset.skip < 0 || dataset.skip > 1)
    node.fail("`on_error.skip` must be a share between 0 and 1");
  dataset.frames = wordOr(node, "frames", dataset.frames, {"file", "folder"});
  dataset.rate = node.numberOr("rate", 0);
  if (dataset.rate < 0 || (dataset.rate > 0 && dataset.frames != "folder"))
    node.fail("`rate` is above zero, and of folders of frames");
  return dataset;
}

static Template parseTemplate(const std::string &name, const JsonNode &node) {
  Template result;
  result.name = name;
  for (const JsonNode &segment : node.at("segments").items()) {
    segment.at("role").string(); // must be said
    std::string role = wordOr(segment, "role", "user", {"system", "media", "image", "video", "first", "user", "assistant", "end"});
    result.segments.push_back({std::move(role), segment.at("text").string()});
  }
  if (auto prompts = node.find("prompts"))
    for (const JsonNode &prompt : prompts->items())
      result.prompts.push_back(prompt.string());
  if (auto prompts = node.find("image_prompts"))
    for (const JsonNode &prompt : prompts->items())
      result.imagePrompts.push_back(prompt.string());
  return result;
}

void parseData(const JsonNode &root, Manifest &manifest) {
  if (auto list = root.find("tokenizers"))
    for (const auto &[name, node] : list->members())
      manifest.tokenizers[name] = parseTokenizer(name, node);
  if (auto list = root.find("datasets"))
    for (const auto &[name, node] : list->members())
      manifest.datasets[name] = parseDataset(name, node);
  if (auto list = root.find("templates"))
    for (const auto &[name, node] : list->members())
      manifest.templates[name] = parseTemplate(name, node);
}

static Media parseMedia(const JsonNode &node) {
  Media media;
  media.name = node.stringOr("name", media.name);
  media.frames = node.at("frames").integerAtLeast(1);
  media.height = node.at("height").integerAtLeast(1);
  media.width = node.at("width").integerAtLeast(1);
  media.sample = wordOr(node, "sample", media.sample, {"middle", "random", "random_exclusive", "still"});
  media.flip = node.booleanOr("flip", false);
  media.crop = wordOr(node, "crop", "", {"none", "center", "random"});
  if (media.crop == "none")
    media.crop.clear();
  media.cacheBytes = node.integerOr("cache_bytes", 0);
  media.resize = wordOr(node, "resize", media.resize, {"exact", "short_side"});
  media.kind = wordOr(node, "kind", media.kind, {"any", "image", "video"});
  media.fallback = wordOr(node, "fallback", media.fallback, {"sample", "media"});
  media.antialias = node.booleanOr("antialias", true);
  auto ends = [&](const char *name, double &least, double &most) {
    auto pair = node.find(name);
    if (!pair)
      return;
    auto items = pair->items();
    if (items.size() != 2)
      pair->fail("needs the least and the most");
    least = items[0].number(), most = items[1].number();
    if (!(least > 0) || !(least <= most))
      pair->fail("goes from a number above zero to one that is not below it");
  };
  if (auto tiles = node.find("tiles"))
    media.tiles = {tiles->at("most").integerAtLeast(1), tiles->booleanOr("global", false), tiles->at("clips").integerAtLeast(1)};
  ends("scale", media.leastScale, media.mostScale);
  ends("ratio", media.leastRatio, media.mostRatio);
  return media;
}

template <typename Map>
static void checkDeclared(const JsonNode &node, const Map &declared, const std::string &name,
                          const char *what) {
  if (!declared.count(name))
    node.fail(fmt::format("names {} `{}`, which is not declared", what, name));
}

static Field parseField(const JsonNode &node, const Manifest &manifest) {
  Field field;
  field.name = node.at("name").string();
  std::string kind = node.at("kind").string();
  if (kind == "label") {
    field.kind = Field::Kind::Label;
    field.from = node.at("from").string();
    for (const JsonNode &value : node.at("of").items())
      field.of.push_back(value.string());
    return field;
  }
  if (kind == "identity") {
    field.kind = Field::Kind::Identity;
    field.from = node.at("from").string();
    return field;
  }
  if (kind == "template") {
    field.kind = Field::Kind::Template;
    field.templateName = node.at("template").string();
    checkDeclared(node, manifest.templates, field.templateName, "template");
    field.from = node.stringOr("from", "");
  } else if (kind == "text") {
    field.kind = Field::Kind::Text;
    field.from = node.at("from").string();
  } else {
    node.at("kind").fail(fmt::format("is `{}`, but `template`, `text`, `label` or `identity` is needed", kind));
  }
  field.tokenizer = node.at("tokenizer").string();
  checkDeclared(node, manifest.tokenizers, field.tokenizer, "tokenizer");
  field.maxTokens = node.at("max_tokens").integerAtLeast(1);
  field.visual = node.integerOr("visual", 0);
  field.visualOfClip = node.integerOr("visual_of_clip", 0);
  field.length = node.integerOr("length", field.maxTokens + field.visual);
  field.pack = node.integerOr("pack", 1);
  field.packedTokens = node.integerOr("row_tokens", field.maxTokens * field.pack);
  if (field.pack < 1 || field.packedTokens < 1)
    node.fail("needs at least one sample in a row, and one token");
  field.supervise = wordOr(node, "supervise", field.supervise, {"assistant", "answer", "roles", "all", "none"});
  field.bos = node.booleanOr("bos", field.kind == Field::Kind::Template);
  field.side = wordOr(node, "side", field.side, {"right", "left"});
  field.cut = wordOr(node, "cut", field.cut, {"right", "left"});
  field.spaces = wordOr(node, "spaces", field.spaces, {"trimmed", "kept"});
  field.prompt = wordOr(node, "prompt", field.prompt, {"sample", "batch"});
  field.answerTokens = node.integerOr("answer_tokens", 0);
  return field;
}

static Batch parseBatch(const JsonNode &node, const std::string &variant,
                        const Manifest &manifest) {
  Batch batch;
  batch.variant = variant;
  batch.branch = node.stringOr("branch", "");
  batch.rows = node.at("rows").integerAtLeast(1);
  if (auto datasets = node.find("datasets"))
    for (const JsonNode &item : datasets->items()) {
      batch.datasets.push_back(item.string());
      checkDeclared(item, manifest.datasets, batch.datasets.back(), "dataset");
    }
  batch.turn = wordOr(node, "turn", batch.turn, {"all", "random", "shuffle"});
  if (auto weights = node.find("weights"))
    for (const JsonNode &weight : weights->items()) {
      batch.weights.push_back(weight.number());
      if (!(batch.weights.back() > 0))
        weight.fail("must be above zero");
    }
  if (!batch.weights.empty() && batch.weights.size() != batch.datasets.size())
    node.fail("needs a weight for each dataset");
  batch.textOnly = node.booleanOr("text_only", false);
  if (auto media = node.find("media"))
    batch.media = parseMedia(*media);
  if (auto fields = node.find("fields"))
    for (const JsonNode &item : fields->items())
      batch.fields.push_back(parseField(item, manifest));
  for (const Field &field : batch.fields)
    if (batch.rows % field.pack || (field.pack > 1 && field.side != "right"))
      node.fail(fmt::format("has {} samples, of which field `{}` packs {} into a row, padded on the {}", batch.rows, field.name, field.pack,
                            field.side));
  return batch;
}

static Evaluation parseEvaluation(const JsonNode &node, const Manifest &manifest) {
  Evaluation evaluation;
  evaluation.name = node.at("name").string();
  evaluation.function = node.stringOr("function", "evaluate_" + evaluation.name);
  if (auto when = node.find("when"))
    evaluation.when = parseWhen(*when);
  evaluation.dataset = node.at("dataset").string();
  checkDeclared(node, manifest.datasets, evaluation.dataset, "dataset");
  evaluation.metric = node.stringOr("metric", "choice_accuracy");
  if (evaluation.metric != "choice_accuracy")
    node.at("metric").fail(fmt::format("is `{}`, but this runtime knows `choice_accuracy`",
                                       evaluation.metric));
  evaluation.choices = node.stringOr("choices", "");
  evaluation.answer = node.stringOr("answer", "");
  evaluation.group = node.stringOr("group", "");
  evaluation.media = wordOr(node, "media", evaluation.media, {"normal", "shuffled", "still"});
  evaluation.batch = parseBatch(node.at("batch"), "evaluate", manifest);
  if (evaluation.batch.datasets.empty())
    evaluation.batch.datasets = {evaluation.dataset};
  return evaluation;
}

void parseStageData(const JsonNode &node, const Manifest &manifest, Stage &stage) {
  if (auto batch = node.find("batch"))
    for (const auto &[variant, item] : batch->members())
      stage.batch[variant] = parseBatch(item, variant, manifest);
  if (auto list = node.find("evaluate"))
    for (const JsonNode &item : list->items())
      stage.evaluations.push_back(parseEvaluation(item, manifest));
}

Manifest parseDataOf(std::string_view json) {
  try {
    JsonDocument document(json);
    JsonNode root = document.root();
    Manifest manifest;
    parseData(root, manifest);
    for (const JsonNode &node : root.at("stages").items()) {
      Stage &stage = manifest.stages.emplace_back();
      stage.name = node.at("name").string();
      parseStageData(node, manifest, stage);
    }
    return manifest;
  } catch (const JsonError &error) {
    throw Failure(Exit::Internal, fmt::format("the manifest {}", error.what()));
  }
}

} // namespace vcc::runtime::manifest
