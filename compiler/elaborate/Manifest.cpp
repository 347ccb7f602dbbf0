// SPDX-License-Identifier: Apache-2.0
//
// Writes the manifest: declarations of data that are in use, and one object per stage.
#include "compiler/elaborate/Manifest.h"

#include "compiler/elaborate/Stage.h"

#include "llvm/Support/FormatVariadic.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

namespace {
/// Declarations gathered while stages are written.
struct Writer {
  Evaluator &evaluator;
  Json tokenizers = Json::object(), datasets = Json::object(), templates = Json::object();
  bool good = true;

  void tokenizer(vcs::TokenizerOp op);
  void dataset(vcs::DatasetOp op);
  void templ(vcs::TemplateOp op);
  Json batch(const BatchSpec &batch, bool onlyRead);
  Json text(const TextSpec &text);
  Json when(vcs::MomentAttr moment, mlir::Location loc);
  Json record(vcs::DatasetFormatOp format);
  Json stage(Stage &stage);
  Json states(Stage &stage);
  Json components(Stage &stage);
  Json evaluation(const Evaluation &evaluation, mlir::Location loc);
};
} // namespace

void Writer::tokenizer(vcs::TokenizerOp op) {
  std::string name = symbolName(op);
  if (tokenizers.contains(name))
    return;
  auto value = evaluator.evaluate(op.getSource());
  const StructValue *source = failed(value) ? nullptr : value->asStruct();
  const Value *file = source ? source->find("file") : nullptr,
              *vocab = source ? source->find("vocab") : nullptr;
  if (!file || !file->asString() || !vocab || !vocab->asInt() || *vocab->asInt() < 1) {
    good = false;
    if (succeeded(value))
      (void)LogicalResult(evaluator
                              .fault(FaultKind::MissingKey, op.getLoc(),
                                     "the tokenizer `" + name + "` needs a file and `vocab`")
                              .help("write `sentencepiece(\"lm.model\", vocab: 32000)` or "
                                    "`wordpiece(\"vocab.txt\", vocab: 30522)`"));
    return;
  }
  const Value *lower = source->find("lowercase");
  tokenizers[name] = {{"kind", *source->find("kind")->asString()},
                      {"file", *file->asString()},
                      {"vocab", *vocab->asInt()},
                      {"lowercase", lower && lower->asBool() && *lower->asBool()}};
  const Value *added = source->find("added"), *takeSpace = source->find("added_take_space");
  if (!added || !added->asSequence())
    return;
  for (const Value &token : *added->asSequence())
    if (auto *text = token.asString())
      tokenizers[name]["added"].push_back(*text);
  tokenizers[name]["added_take_space"] = takeSpace && takeSpace->asBool() && *takeSpace->asBool();
}

Json Writer::record(vcs::DatasetFormatOp format) {
  Json record = Json::object(), fields = Json::object();
  for (auto field : format.getBody()->getOps<vcs::RecordFieldOp>()) {
    std::vector<std::string> keys;
    for (auto key : field.getKeys().getAsValueRange<mlir::StringAttr>())
      keys.push_back(key.str());
    if (field.getName() == "media") {
      record["media"] = {{"keys", keys}};
    } else if (field.getName() == "turns") {
      Json turn = Json::object();
      for (auto inner : field.getFields().front().getOps<vcs::RecordFieldOp>())
        turn[inner.getName().str()] =
            llvm::cast<mlir::StringAttr>(inner.getKeys()[0]).getValue().str();
      record["turns"] = {{"key", keys.front()}, {"fields", turn}};
    } else {
      fields[field.getName().str()] = keys.front();
    }
  }
  record["fields"] = fields;
  return record;
}

void Writer::dataset(vcs::DatasetOp op) {
  std::string name = symbolName(op);
  if (datasets.contains(name))
    return;
  auto value = evaluator.evaluate(op.getSource());
  auto options =
      Options::read(evaluator, op.getOptions(), "the dataset `" + name + "`", {"on_error", "frames", "rate"});
  if (failed(value) || failed(options)) {
    good = false;
    return;
  }
  const StructValue *source = value->asStruct();
  auto format = source && source->declaration
                    ? llvm::dyn_cast<vcs::DatasetFormatOp>(source->declaration)
                    : vcs::DatasetFormatOp();
  const Value *file = source ? source->find("file") : nullptr,
              *media = source ? source->find("media") : nullptr;
  if (!format || !file || !file->asString()) {
    good = false;
    (void)LogicalResult(evaluator.fault(FaultKind::TypeMismatch, op.getLoc(),
                                        "a dataset is a call of a dataset format with a file"));
    return;
  }
  Json made = {{"file", *file->asString()},
               {"media", media && media->asString() ? *media->asString() : ""},
               {"record", record(format)}};
  if (const Value *skip = options->find("on_error")) {
    double share = skip->asQuantity() && skip->asQuantity()->unit == vcs::Unit::Percent
                       ? skip->asQuantity()->amount / 100
                       : skip->asNumber().value_or(-1);
    if (!(share >= 0 && share <= 1)) {
      good = false;
      (void)LogicalResult(evaluator.fault(FaultKind::BadValue, options->loc("on_error"),
                                          "`on_error` says `skip up to` a share, such as `1%`"));
    }
    made["on_error"] = {{"skip", share}};
  }
  auto frames = options->choice("frames", "file", {"file", "folder"});
  auto rate = options->find("rate") ? options->number("rate", 0) : FailureOr<double>(0.0);
  if (failed(frames) || failed(rate)) {
    good = false;
    return;
  }
  if (const Value *said = options->find("rate"); said && (*frames != "folder" || !(*rate > 0) || !std::isfinite(*rate))) {
    good = false;
    (void)LogicalResult(evaluator
                            .fault(FaultKind::BadValue, options->loc("rate"),
                                   *frames == "folder" ? "`rate` must be above zero" : "`rate` is of folders of frames; a file says its own")
                            .help(*frames == "folder" ? "" : "write `frames: folder` beside it, or leave it out"));
  }
  if (*frames == "folder")
    made["frames"] = "folder";
  if (*rate > 0)
    made["rate"] = *rate;
  datasets[name] = std::move(made);
}

void Writer::templ(vcs::TemplateOp op) {
  std::string name = symbolName(op);
  if (templates.contains(name))
    return;
  Json segments = Json::array(), prompts = Json::array(), imagePrompts = Json::array();
  for (auto segment : op.getBody()->getOps<vcs::SegmentOp>())
    segments.push_back({{"role", vcs::stringifySegmentRole(segment.getRole()).str()},
                        {"text", segment.getText().str()}});
  for (auto prompt : op.getBody()->getOps<vcs::PromptsOp>())
    for (auto text : prompt.getTexts().getAsValueRange<mlir::StringAttr>())
      (prompt.getForImages() ? imagePrompts : prompts).push_back(text.str());
  templates[name] = {{"segments", segments}, {"prompts", prompts}, {"image_prompts", imagePrompts}};
}

Json Writer::text(const TextSpec &text) {
  tokenizer(llvm::cast<vcs::TokenizerOp>(text.tokenizer));
  int64_t visual = text.source && text.source->visual ? *text.source->visual : 0;
  Json field = {{"name", text.name},
                {"kind", text.templ ? "template" : "text"},
                {"tokenizer", symbolName(text.tokenizer)}};
  if (text.templ) {
    templ(llvm::cast<vcs::TemplateOp>(text.templ));
    field["template"] = symbolName(text.templ);
  }
  if (!text.from.empty())
    field["from"] = text.from;
  field["max_tokens"] = text.maxTokens;
  field["visual"] = visual;
  if (visual)
    field["visual_of_clip"] = visual / text.source->clipsOfRow;
  field["length"] = text.maxTokens + visual;
  if (text.pack > 1) {
    field["pack"] = text.pack;
    field["row_tokens"] = text.rowTokens;
  }
  field["supervise"] = text.supervise;
  field["bos"] = text.bos;
  field["side"] = text.side;
  field["cut"] = text.cut;
  if (text.templ) {
    field["spaces"] = text.spaces;
    field["prompt"] = text.prompt;
    field["answer_tokens"] = text.answerTokens;
  }
  return field;
}

Json Writer::batch(const BatchSpec &batch, bool onlyRead) {
  Json made = {{"branch", batch.branch}, {"rows", batch.rows}};
  if (!batch.weights.empty())
    made["weights"] = batch.weights;
  for (vcs::DatasetOp op : batch.datasets) {
    dataset(op);
    made["datasets"].push_back(symbolName(op));
  }
  made["turn"] = batch.turn;
  if (!batch.media && !batch.branch.empty())
    made["text_only"] = true;
  if (batch.media && (batch.mediaRead || !onlyRead)) {
    const MediaSpec &media = *batch.media;
    made["media"] = {{"name", "clip"},
                     {"frames", media.frames},
                     {"sample", media.sample},
                     {"height", media.height},
                     {"width", media.width},
                     {"flip", media.flip},
                     {"resize", media.resize},
                     {"antialias", media.antialias},
                     {"kind", media.kind},
                     {"fallback", media.fallback},
                     {"scale", media.scale},
                     {"ratio", media.ratio},
                     {"crop", media.crop.empty() ? Json(nullptr) : Json(media.crop)},
                     {"cache_bytes", static_cast<int64_t>(media.cacheBytes)}};
    if (media.crop.empty())
      made["media"].erase("crop");
    if (media.tiles)
      made["media"]["tiles"] = {{"most", media.tiles->most}, {"global", media.tiles->global}, {"clips", media.clips}};
  }
  made["fields"] = Json::array();
  for (const TextSpec &field : batch.texts)
    if (field.source || !onlyRead)
      made["fields"].push_back(text(field));
  for (const LabelSpec &label : batch.labels)
    if ((label.read || !onlyRead) && label.of.empty())
      made["fields"].push_back({{"name", label.name}, {"kind", "identity"}, {"from", label.from}});
    else if (label.read || !onlyRead)
      made["fields"].push_back(
          {{"name", label.name}, {"kind", "label"}, {"from", label.from}, {"of", label.of}});
  return made;
}

Json Writer::when(vcs::MomentAttr moment, mlir::Location loc) {
  if (moment.getKind() == vcs::MomentKind::End)
    return "end";
  if (moment.getUnit() == vcs::Unit::Epochs)
    return {{"epochs", moment.getAmount()}};
  if (moment.getUnit() != vcs::Unit::Steps || !(moment.getAmount() >= 1) ||
      moment.getAmount() != std::floor(moment.getAmount())) {
    good = false;
    (void)LogicalResult(evaluator.fault(FaultKind::NotSupported, loc,
                                        "`every` with anything but a whole number of steps"));
    return "end";
  }
  return {{"steps", static_cast<int64_t>(moment.getAmount())}};
}

Json Writer::evaluation(const Evaluation &evaluation, mlir::Location loc) {
  dataset(evaluation.dataset);
  Json made = {{"name", evaluation.name},
               {"function", "evaluate_" + evaluation.name},
               {"when", when(evaluation.when, loc)},
               {"dataset", symbolName(evaluation.dataset)},
               {"metric", evaluation.metric},
               {"choices", evaluation.choices},
               {"answer", evaluation.answer}};
  if (!evaluation.group.empty())
    made["group"] = evaluation.group;
  made["media"] = evaluation.media;
  made["batch"] = batch(evaluation.batch, true);
  return made;
}

Json Writer::components(Stage &stage) {
  Json list = Json::array();
  for (auto &[name, component] : stage.model.components) {
    int64_t parameters = 0, trainable = 0;
    for (Weight *weight : stage.used) {
      if (stage.model.componentOf(*weight) != name.getValue())
        continue;
      parameters += weight->elements();
      trainable += stage.trainable.contains(weight) ? weight->elements() : 0;
    }
    if (parameters)
      list.push_back({{"name", name.str()},
                      {"role", component.role},
                      {"parameters", parameters},
                      {"trainable", trainable}});
  }
  return list;
}

/// The word of an initialiser, for the line that says where a weight came from.
static std::string initialWord(const Value &value) {
  using Kind = Initializer::Kind;
  if (auto *callable = value.asCallable())
    return symbolName(callable->declaration);
  if (auto *builtin = value.asBuiltin())
    return builtin->name.str();
  if (auto number = value.asNumber())
    return llvm::formatv("{0}", *number).str();
  auto *initializer = value.asInitializer();
  if (!initializer)
    return "";
  switch (initializer->kind) {
  case Kind::Zeros: return "zeros";
  case Kind::Ones: return "ones";
  case Kind::Constant: return llvm::formatv("{0}", initializer->first).str();
  case Kind::Normal: return "normal";
  case Kind::TruncatedNormal: return "truncated_normal";
  case Kind::Uniform: return "uniform";
  case Kind::XavierUniform: return "xavier_uniform";
  case Kind::Table: return "table";
  }
  return "";
}

static Json startList(const std::vector<StartSource> &sources, const Value &init) {
  Json list = Json::array();
  for (const StartSource &source : sources) {
    if (source.kind == StartSource::Kind::Stage)
      list.push_back({{"stage", source.name}});
    else if (source.kind == StartSource::Kind::File && source.keys >= 0)
      list.push_back({{"file", source.name}, {"keys", source.keys}});
    else if (source.kind == StartSource::Kind::File)
      list.push_back({{"file", source.name}});
    else
      list.push_back({{"init", true}, {"by", initialWord(init)}});
  }
  return list;
}

static Json fileKeys(const Stage &stage) {
  Json list = Json::array();
  for (const FileKeys &keys : stage.fileKeys)
    list.push_back({{"inside", keys.inside}, {"rename", keys.rename}});
  return list;
}

Json Writer::states(Stage &stage) {
  Json list = Json::array();
  llvm::DenseMap<Weight *, size_t> groupOf;
  for (auto [i, group] : llvm::enumerate(stage.groups)) {
    list.push_back({{"path", groupState(i, "weight")},
                    {"kind", "weight"},
                    {"shape", {group.size}},
                    {"dtype", "f32"},
                    {"group", i}});
    list.push_back({{"path", groupState(i, "gradient")},
                    {"kind", "gradient"},
                    {"shape", {group.size}},
                    {"dtype", "f32"},
                    {"group", i}});
    for (const std::string &moment : stage.moments)
      list.push_back({{"path", groupState(i, moment)},
                      {"kind", "moment"},
                      {"shape", {group.size}},
                      {"dtype", "f32"},
                      {"group", i}});
    if (!group.reachedBy.empty())
      for (auto [what, kind] : {std::pair("reached", "gradient"), std::pair("steps", "counter")})
        list.push_back({{"path", groupState(i, what)}, {"kind", kind}, {"shape", {1}}, {"dtype", "f32"}, {"group", i}});
    for (auto &[weight, offset] : group.members)
      groupOf[weight] = i;
  }
  for (const auto &[path, first] : stage.scaleStates())
    list.push_back({{"path", path}, {"kind", "counter"}, {"shape", {1}}, {"dtype", "f32"}});
  for (Weight *weight : stage.used) {
    auto group = groupOf.find(weight);
    bool trains = group != groupOf.end();
    Json state = {{"path", weight->path()},
                  {"kind", "weight"},
                  {"shape", std::vector<int64_t>(weight->shape.begin(), weight->shape.end())},
                  {"dtype", "f32"},
                  {"trainable", trains}};
    if (trains)
      state["group"] = group->second;
    state["start"] = startList(stage.starts.lookup(weight), weight->init);
    list.push_back(std::move(state));
  }
  return list;
}

Json Writer::stage(Stage &stage) {
  vcs::StageOp op = stage.op;
  Json made = {{"number", op.getNumber() ? Json(*op.getNumber()) : Json(nullptr)},
               {"name", op.getName().str()},
               {"model", symbolName(stage.model.op)},
               {"components", components(stage)},
               {"precision", stage.precision},
               {"steps", stage.steps ? Json(*stage.steps) : Json(nullptr)},
               {"epochs", stage.epochs ? Json(*stage.epochs) : Json(nullptr)},
               {"accumulate", stage.batch->accumulate},
               {"across", stage.batch->across},
               {"rest", stage.batch->rest},
               {"seed", 0},
               {"regions", Json::object()},
               {"keys", fileKeys(stage)},
               {"states", states(stage)},
               {"functions", Json::array()}};
  made["batch"] = Json::object();
  for (const BatchSpec &variant : stage.batch->variants)
    made["batch"][variant.variant] = batch(variant, true);
  made["evaluate"] = Json::array();
  for (const Evaluation &entry : stage.evaluations)
    made["evaluate"].push_back(evaluation(entry, op.getLoc()));
  if (const auto &scale = stage.lossScale)
    made["loss_scale"] = {{"scale", scale->scale}, {"growth", scale->growth}, {"backoff", scale->backoff}, {"interval", scale->interval}};
  if (stage.parallel) {
    made["parallel"] = {{"shard", "none"}};
    if (stage.ranks)
      made["parallel"]["ranks"] = *stage.ranks;
  }
  Json save = {{"when", "end"}, {"keep", 2}};
  for (auto clause : op.getBody()->getOps<vcs::SaveOp>()) {
    auto options = Options::read(evaluator, clause.getOptions(), "`save`", {"keep"});
    auto keep = failed(options) ? FailureOr<int64_t>(failure()) : options->integer("keep", 2);
    good &= succeeded(keep);
    if (succeeded(keep) && *keep < 1)
      good = succeeded(LogicalResult(
          evaluator.fault(FaultKind::BadValue, clause.getLoc(), "`keep` must be at least 1")));
    save = {{"when", when(clause.getWhen(), clause.getLoc())},
            {"keep", succeeded(keep) ? *keep : 2}};
  }
  made["save"] = std::move(save);
  Json log = {{"steps", 10}};
  for (auto clause : op.getBody()->getOps<vcs::LogOp>()) {
    Json moment = when(clause.getWhen(), clause.getLoc());
    if (moment.is_object())
      log = moment;
  }
  made["log"] = std::move(log);
  return made;
}

llvm::FailureOr<Json> writeManifest(Evaluator &evaluator, llvm::StringRef recipe,
                                    llvm::ArrayRef<std::unique_ptr<Stage>> stages) {
  Writer writer{evaluator};
  Json list = Json::array();
  for (const auto &stage : stages)
    list.push_back(writer.stage(*stage));
  if (!writer.good)
    return failure();
  return Json{{"format", 1},
              {"recipe", recipe.str()},
              {"vcc", "0.1.0"},
              {"cpu", ""},
              {"target", "cpu"},
              {"features", Json::array()},
              {"tokenizers", writer.tokenizers},
              {"datasets", writer.datasets},
              {"templates", writer.templates},
              {"stages", list}};
}

} // namespace vcc::elaborate
