// SPDX-License-Identifier: Apache-2.0
//
// Reading a stage's batch, and the inputs that it provides.
#include "compiler/elaborate/Batches.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

static constexpr int64_t kMostRows = 1 << 20;

/// A declaration of type `Op`, or null with a fault.
template <typename Op>
static Op declared(Evaluator &evaluator, const Value &value, const char *what, mlir::Location loc) {
  if (auto *callable = value.asCallable())
    if (auto op = llvm::dyn_cast<Op>(callable->declaration))
      return op;
  Fault(evaluator.faults(), FaultKind::TypeMismatch, loc,
        std::string("a ") + what + " is needed here but this is " + value.describe());
  return {};
}

static FailureOr<std::array<double, 3>> channels(Evaluator &evaluator, const Options &options,
                                                 StringRef name, double otherwise) {
  std::array<double, 3> result{otherwise, otherwise, otherwise};
  const Value *value = options.find(name);
  if (!value)
    return result;
  if (auto number = value->asNumber()) {
    result.fill(*number);
    return result;
  }
  auto *items = value->asSequence();
  if (!items || items->size() != 3 ||
      !llvm::all_of(*items, [](const Value &v) { return v.isNumber(); }))
    return evaluator.fault(FaultKind::TypeMismatch, options.loc(name),
                           "`" + name.str() + "` must be a number or three of them but is " +
                               value->describe());
  for (int i = 0; i < 3; ++i)
    result[i] = *(*items)[i].asNumber();
  return result;
}

static FailureOr<MediaSpec> readMedia(Evaluator &evaluator, const Options &options,
                                      mlir::Location loc) {
  MediaSpec media(loc);
  auto frames = options.integer("frames", 1);
  auto sample = options.word("sample", "middle");
  auto flip = options.flag("flip", false);
  auto crop = options.word("crop", "none");
  auto mean = channels(evaluator, options, "mean", 0), std = channels(evaluator, options, "std", 1);
  if (failed(frames) || failed(sample) || failed(flip) || failed(crop) || failed(mean) ||
      failed(std))
    return failure();
  media.frames = *frames;
  media.sample = *sample;
  media.flip = *flip;
  media.crop = *crop == "none" ? "" : *crop;
  media.mean = *mean;
  media.std = *std;
  for (double s : media.std)
    if (!(s > 0))
      return evaluator.fault(FaultKind::BadValue, options.loc("std"), "`std` must be above zero");
  const Value *size = options.find("size");
  if (!size)
    return evaluator.fault(FaultKind::MissingKey, loc, "the rows say no `size`")
        .help("write `size: 224`, the side of the frames in pixels");
  auto sides = evaluator.integers(*size, "`size`", options.loc("size"));
  if (failed(sides))
    return failure();
  if (sides->empty() || sides->size() > 2)
    return evaluator.fault(FaultKind::BadValue, options.loc("size"),
                           "`size` is one side or (height, width)");
  media.height = sides->front();
  media.width = sides->back();
  if (media.frames < 1 || media.frames > 4096 || media.height < 1 || media.width < 1 ||
      media.height > 16384 || media.width > 16384)
    return evaluator.fault(FaultKind::BadValue, loc,
                           "media of " + std::to_string(media.frames) + " frames of " +
                               std::to_string(media.height) + " by " + std::to_string(media.width) +
                               " pixels");
  if (const Value *cache = options.find("cache")) {
    auto *bytes = cache->asQuantity();
    if (!bytes || bytes->unit != vcs::Unit::Bytes)
      return evaluator.fault(FaultKind::UnitMismatch, options.loc("cache"),
                             "`cache` needs a size such as `1 GB` but is " + cache->describe());
    media.cacheBytes = bytes->amount;
  }
  return media;
}

static LogicalResult readRows(Evaluator &evaluator, vcs::RowsOp op, BatchSpec &batch) {
  if (batch.rows)
    return evaluator.fault(FaultKind::NotSupported, op.getLoc(),
                           "more than one kind of rows in a batch");
  auto count = evaluator.evaluate(op.getCount());
  auto source = evaluator.evaluate(op.getSource());
  auto options =
      Options::read(evaluator, op.getOptions(), "`" + op.getName().str() + "`",
                    {"frames", "sample", "size", "mean", "std", "flip", "crop", "cache", "turn"});
  if (failed(count) || failed(source) || failed(options))
    return failure();
  auto rows = evaluator.integer(*count, "the number of rows", op.getLoc());
  if (failed(rows))
    return failure();
  if (*rows < 1 || *rows > kMostRows)
    return evaluator.fault(FaultKind::BadValue, op.getLoc(),
                           "a batch of " + std::to_string(*rows) + " rows");
  batch.rows = *rows;
  std::vector<Value> datasets =
      source->asSequence() ? *source->asSequence() : std::vector<Value>{*source};
  for (const Value &value : datasets) {
    auto dataset = declared<vcs::DatasetOp>(evaluator, value, "dataset", op.getLoc());
    if (!dataset)
      return failure();
    batch.datasets.push_back(dataset);
  }
  auto turn = options->word("turn", "all");
  if (failed(turn))
    return failure();
  if (*turn != "all" && *turn != "random")
    return evaluator.fault(FaultKind::BadValue, options->loc("turn"),
                           "`turn` is `all` or `random`, not `" + *turn + "`");
  batch.turn = *turn;
  if (llvm::none_of(options->entries, [](auto &entry) { return entry.first != "turn"; }))
    return success();
  auto media = readMedia(evaluator, *options, op.getLoc());
  if (failed(media))
    return failure();
  batch.media = *media;
  return success();
}

static LogicalResult readText(Evaluator &evaluator, vcs::TextFieldOp op, BatchSpec &batch) {
  auto source = evaluator.evaluate(op.getSource());
  auto options = Options::read(evaluator, op.getOptions(), "`" + op.getName().str() + "`",
                               {"from", "max_tokens", "tokenizer", "supervise", "bos", "side"});
  if (failed(source) || failed(options))
    return failure();
  TextSpec text(op.getLoc());
  text.name = op.getName().str();
  auto *callable = source->asCallable();
  text.templ = callable && llvm::isa<vcs::TemplateOp>(callable->declaration) ? callable->declaration
                                                                             : nullptr;
  if (text.templ) {
    const Value *tokenizer = options->find("tokenizer");
    if (!tokenizer)
      return evaluator.fault(FaultKind::MissingKey, op.getLoc(),
                             "`" + text.name + "` says no `tokenizer`");
    text.tokenizer =
        declared<vcs::TokenizerOp>(evaluator, *tokenizer, "tokenizer", options->loc("tokenizer"));
  } else {
    text.tokenizer =
        declared<vcs::TokenizerOp>(evaluator, *source, "tokenizer or a template", op.getLoc());
  }
  if (!text.tokenizer)
    return failure();
  auto from = options->word("from", ""),
       supervise = options->word("supervise", text.templ ? "assistant" : "all"),
       side = options->word("side", "right");
  auto bos = options->flag("bos", true);
  auto length = options->integer("max_tokens", 0);
  if (failed(from) || failed(supervise) || failed(side) || failed(bos) || failed(length))
    return failure();
  if (*length < 1 || *length > (1 << 20))
    return evaluator.fault(
        options->find("max_tokens") ? FaultKind::BadValue : FaultKind::MissingKey,
        options->find("max_tokens") ? options->loc("max_tokens") : op.getLoc(),
        options->find("max_tokens") ? "`max_tokens` must be at least 1"
                                    : "`" + text.name + "` says no `max_tokens`");
  if (*supervise != "assistant" && *supervise != "all" && *supervise != "none")
    return evaluator.fault(FaultKind::BadValue, options->loc("supervise"),
                           "`supervise` is `assistant`, `all` or `none`, not `" + *supervise + "`");
  if (!text.templ && from->empty())
    return evaluator.fault(FaultKind::MissingKey, op.getLoc(), "`" + text.name + "` says no `from`")
        .help("name the record's field, such as `from: caption`");
  text.from = *from;
  text.supervise = *supervise;
  text.side = *side;
  text.bos = *bos;
  text.maxTokens = *length;
  batch.texts.push_back(std::move(text));
  return success();
}

static LogicalResult readLabel(Evaluator &evaluator, vcs::LabelFieldOp op, BatchSpec &batch) {
  auto options =
      Options::read(evaluator, op.getOptions(), "`" + op.getName().str() + "`", {"from", "of"});
  if (failed(options))
    return failure();
  LabelSpec label(op.getLoc());
  label.name = op.getName().str();
  auto from = options->word("from", label.name);
  const Value *of = options->find("of");
  if (failed(from))
    return failure();
  if (!of || !of->asSequence() || of->asSequence()->empty())
    return evaluator.fault(FaultKind::MissingKey, op.getLoc(),
                           "`" + label.name + "` says no `of`, the list of its values");
  label.from = *from;
  for (const Value &item : *of->asSequence())
    label.of.push_back(item.print());
  batch.labels.push_back(std::move(label));
  return success();
}

static LogicalResult readIdentity(Evaluator &evaluator, vcs::IdentityFieldOp op, BatchSpec &batch) {
  auto options =
      Options::read(evaluator, op.getOptions(), "`" + op.getName().str() + "`", {"from"});
  if (failed(options))
    return failure();
  LabelSpec label(op.getLoc());
  label.name = op.getName().str();
  auto from = options->word("from", label.name);
  if (failed(from))
    return failure();
  label.from = *from;
  batch.labels.push_back(std::move(label));
  return success();
}

FailureOr<BatchSpec> readBatch(Evaluator &evaluator, vcs::BatchOp op) {
  BatchSpec batch(op.getLoc());
  bool good = true;
  for (mlir::Operation &entry : *op.getBody()) {
    if (auto rows = llvm::dyn_cast<vcs::RowsOp>(entry))
      good &= succeeded(readRows(evaluator, rows, batch));
    if (auto text = llvm::dyn_cast<vcs::TextFieldOp>(entry))
      good &= succeeded(readText(evaluator, text, batch));
    if (auto label = llvm::dyn_cast<vcs::LabelFieldOp>(entry))
      good &= succeeded(readLabel(evaluator, label, batch));
    if (auto identity = llvm::dyn_cast<vcs::IdentityFieldOp>(entry))
      good &= succeeded(readIdentity(evaluator, identity, batch));
    if (auto accumulate = llvm::dyn_cast<vcs::AccumulateOp>(entry)) {
      auto value = evaluator.evaluate(accumulate.getCount());
      auto count = failed(value) ? FailureOr<int64_t>(failure())
                                 : evaluator.integer(*value, "`accumulate`", accumulate.getLoc());
      good &= succeeded(count);
      if (succeeded(count) && (*count < 1 || *count > 65536))
        return evaluator.fault(FaultKind::BadValue, accumulate.getLoc(),
                               "`accumulate` must be at least 1");
      batch.accumulate = succeeded(count) ? *count : 1;
    }
  }
  if (!good)
    return failure();
  if (!batch.rows)
    return evaluator.fault(FaultKind::MissingKey, op.getLoc(), "the batch says no rows")
        .help("write `clips: 32 from [dataset] { ... }`");
  return batch;
}

BatchSpec BatchSpec::fresh() const {
  BatchSpec copy = *this;
  copy.mediaRead = false;
  for (TextSpec &text : copy.texts)
    text.source = nullptr;
  for (LabelSpec &label : copy.labels)
    label.read = false;
  return copy;
}

std::vector<std::string> BatchSpec::names() const {
  std::vector<std::string> all{"batch"};
  if (media)
    all.push_back("clip");
  for (const TextSpec &text : texts)
    all.push_back(text.name);
  for (const LabelSpec &label : labels)
    all.push_back(label.name);
  return all;
}

/// Pixels as the runtime gives them, scaled and shifted by channel: ((x / 255) - mean) / std.
static Value normalise(Evaluator &evaluator, const BatchSpec &batch) {
  FunctionBuilder &f = *evaluator.function;
  GraphBuilder &g = f.graph;
  const MediaSpec &media = *batch.media;
  auto origin = [&](const char *what) {
    return DimOrigin{media.loc, mlir::StringAttr::get(evaluator.context(), what)};
  };
  DimOrigin origins[] = {origin("the number of rows"), origin("`frames`"),
                         origin("the number of channels"), origin("`size` (height)"),
                         origin("`size` (width)")};
  int64_t shape[] = {batch.rows, media.frames, 3, media.height, media.width};
  Tensor pixels =
      f.input("clip.pixels", shape, g.ops.getIntegerType(8, /*isSigned=*/false), origins);
  mlir::Type f32 = g.ops.getF32Type();
  auto type = mlir::RankedTensorType::get(shape, f32);
  mlir::Value value = g.ops.create<tg::CastOp>(g.loc, type, pixels.value);
  auto perChannel = [&](std::array<float, 3> numbers) -> mlir::Value {
    if (numbers[0] == numbers[1] && numbers[1] == numbers[2])
      return g.splat(numbers[0], f32, shape).value;
    auto row = mlir::DenseElementsAttr::get(mlir::RankedTensorType::get({3}, f32),
                                            ArrayRef<float>(numbers));
    mlir::Value constant = g.ops.create<tg::ConstantOp>(g.loc, row);
    return g.ops.create<tg::BroadcastOp>(g.loc, type, constant, g.ops.getDenseI64ArrayAttr({2}));
  };
  std::array<float, 3> scale, shift;
  for (int c = 0; c < 3; ++c) {
    scale[c] = static_cast<float>(1.0 / (255.0 * media.std[c]));
    shift[c] = static_cast<float>(-media.mean[c] / media.std[c]);
  }
  value = g.ops.create<tg::MulOp>(g.loc, value, perChannel(scale));
  value = g.ops.create<tg::AddOp>(g.loc, value, perChannel(shift));
  return Value(g.wrap(value, origins));
}

static bool namesVisual(mlir::Operation *templ) {
  if (!templ)
    return false;
  for (auto segment : llvm::cast<vcs::TemplateOp>(templ).getBody()->getOps<vcs::SegmentOp>())
    if (segment.getText().contains("{visual}"))
      return true;
  return false;
}

/// Ids of a tokenizer are below its vocabulary. A tokenizer that does not say it is told of where
/// the manifest is written.
static std::optional<IdBound> vocabulary(Evaluator &evaluator, vcs::TokenizerOp tokenizer) {
  auto value = evaluator.evaluate(tokenizer.getSource());
  const StructValue *source = failed(value) ? nullptr : value->asStruct();
  const Value *vocab = source ? source->find("vocab") : nullptr;
  if (!vocab || !vocab->asInt())
    return std::nullopt;
  auto what =
      mlir::StringAttr::get(evaluator.context(), "`vocab` of `" + symbolName(tokenizer) + "`");
  return IdBound{*vocab->asInt(), {tokenizer.getLoc(), what}};
}

FailureOr<Value> BatchSpec::input(Evaluator &evaluator, StringRef name, mlir::Location loc) {
  if (name == "batch")
    return Value(BatchValue{});
  if (!evaluator.function)
    return evaluator.fault(FaultKind::BadValue, loc,
                           "`" + name.str() + "` is known only in a loss or a score");
  if (name == "clip") {
    if (!media)
      return evaluator.fault(FaultKind::MissingKey, loc, "the batch has no media")
          .note(this->loc, "its rows give no `size` or `frames`");
    mediaRead = true;
    return normalise(evaluator, *this);
  }
  for (TextSpec &text : texts) {
    if (text.name != name)
      continue;
    if (!text.source) {
      text.source = std::make_shared<TextFieldSource>(text.loc);
      text.source->name = text.name;
      text.source->rows = rows;
      text.source->maxTokens = text.maxTokens;
      text.source->ids = vocabulary(evaluator, llvm::cast<vcs::TokenizerOp>(text.tokenizer));
      text.source->side = text.side;
      text.source->hasVisualPlace = namesVisual(text.templ);
      text.source->supervisesAll = text.supervise == "all";
    }
    auto field = std::make_shared<TextField>();
    field->source = text.source;
    return Value(std::move(field));
  }
  for (LabelSpec &label : labels) {
    if (label.name != name)
      continue;
    label.read = true;
    DimOrigin origin{this->loc, mlir::StringAttr::get(evaluator.context(), "the number of rows")};
    GraphBuilder &g = evaluator.function->graph;
    Tensor labels = evaluator.function->input(label.name, {rows}, g.ops.getI32Type(), {origin});
    auto what =
    if (label.of.empty())
      return Value(labels);
        mlir::StringAttr::get(evaluator.context(), "the number of values of `" + label.name + "`");
    g.idBounds.insert({labels.value, {static_cast<int64_t>(label.of.size()), {label.loc, what}}});
    return Value(labels);
  }
  return evaluator.fault(FaultKind::UnknownField, loc, "the batch has no `" + name.str() + "`")
      .help(suggest(name, names()));
}

} // namespace vcc::elaborate
