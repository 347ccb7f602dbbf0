// SPDX-License-Identifier: Apache-2.0
//
// Reading a stage's batch, and the inputs that it provides.
#include "compiler/elaborate/Batches.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

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

static FailureOr<std::vector<int64_t>> readBuckets(Evaluator &evaluator, const Options &options) {
  const Value *given = options.find("buckets");
  if (!given || given->isNone())
    return std::vector<int64_t>();
  auto lengths = evaluator.integers(*given, "`buckets`", options.loc("buckets"));
  if (failed(lengths))
    return failure();
  for (size_t i = 0; i < lengths->size(); ++i)
    if ((*lengths)[i] < 1 || (i && (*lengths)[i] <= (*lengths)[i - 1]))
      return evaluator.fault(FaultKind::BadValue, options.loc("buckets"),
                             "`buckets` are lengths above zero in ascending order");
  if (lengths->empty())
    return evaluator.fault(FaultKind::BadValue, options.loc("buckets"), "`buckets` is an empty list");
  return *lengths;
}

constexpr int64_t kMostPacked = 4096;

static LogicalResult readText(Evaluator &evaluator, vcs::TextFieldOp op, BatchSpec &batch) {
  auto source = evaluator.evaluate(op.getSource());
  auto options = Options::read(evaluator, op.getOptions(), "`" + op.getName().str() + "`",
                               {"from", "max_tokens", "tokenizer", "supervise", "bos", "side", "buckets", "pack",
                                "cut", "spaces", "prompt", "answer_tokens"});
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
  if (failed(readTextChoices(evaluator, *options, text)))
    return failure();
  auto from = options->word("from", ""), side = options->choice("side", "right", {"right", "left"});
  auto bos = options->flag("bos", true);
  auto buckets = readBuckets(evaluator, *options);
  if (failed(buckets))
    return failure();
  auto pack = options->integer("pack", 1);
  if (failed(pack))
    return failure();
  // Buckets of a packed field are of its rows, so that they say nothing of a sample.
  auto length = options->integer("max_tokens", buckets->empty() || *pack > 1 ? 0 : buckets->back());
  if (failed(from) || failed(side) || failed(bos) || failed(length))
    return failure();
  if (*pack < 1 || *pack > kMostPacked)
    return evaluator.fault(FaultKind::BadValue, options->loc("pack"),
                           "`pack` must be in 1.." + std::to_string(kMostPacked) + " but is " + std::to_string(*pack))
        .help("it is how many samples a row holds on average; 1, which is also what counts where it is not said, packs nothing");
  if (*pack > 1 && *side == "left")
    return evaluator.fault(FaultKind::BadValue, options->loc("pack"),
                           "a row of several texts begins with the first of them, so there is no `side: left` beside `pack`");
  if (*length < 1 || *length > (1 << 20))
    return evaluator.fault(
        options->find("max_tokens") ? FaultKind::BadValue : FaultKind::MissingKey,
        options->find("max_tokens") ? options->loc("max_tokens") : op.getLoc(),
        options->find("max_tokens") ? "`max_tokens` must be in 1.." + std::to_string(1 << 20) + " but is " + std::to_string(*length)
                                    : "`" + text.name + "` says no `max_tokens`");
  if (!text.templ && from->empty())
    return evaluator.fault(FaultKind::MissingKey, op.getLoc(), "`" + text.name + "` says no `from`")
        .help("name the record's field, such as `from: caption`");
  text.from = *from;
  text.side = *side;
  text.bos = *bos;
  text.maxTokens = *length;
  text.pack = *pack;
  text.rowTokens = text.maxTokens * text.pack;
  text.buckets = std::move(*buckets);
  if (!text.buckets.empty() && text.buckets.back() > text.rowTokens)
    return evaluator.fault(FaultKind::BadValue, options->loc("buckets"),
                           "a bucket of " + std::to_string(text.buckets.back()) + " tokens is longer than " +
                               (text.pack > 1 ? "`pack` texts of `max_tokens`, " : "`max_tokens`, ") + std::to_string(text.rowTokens));
  if (!text.buckets.empty() && text.buckets.back() < text.rowTokens)
    text.buckets.push_back(text.rowTokens);
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

static LogicalResult readAccumulate(Evaluator &evaluator, vcs::AccumulateOp op, StageBatch &batch) {
  auto value = evaluator.evaluate(op.getCount());
  auto options =
      Options::read(evaluator, op.getOptions(), "`accumulate`", {"across", "rest"});
  if (failed(value) || failed(options))
    return failure();
  auto count = evaluator.integer(*value, "`accumulate`", op.getLoc());
  auto across = options->choice("across", "mixed", {"mixed", "one_modality", "every_modality"}),
       rest = options->choice("rest", "step", {"step", "carry"});
  if (failed(count) || failed(across) || failed(rest))
    return failure();
  if (*count < 1 || *count > 65536)
    return evaluator.fault(FaultKind::BadValue, op.getLoc(), "`accumulate` must be at least 1");
  batch.accumulate = *count;
  batch.across = *across;
  batch.rest = *rest;
  return success();
}

FailureOr<StageBatch> readBatch(Evaluator &evaluator, vcs::BatchOp op) {
  StageBatch batch(op.getLoc());
  BatchSpec fields(op.getLoc());
  bool good = true;
  for (mlir::Operation &entry : *op.getBody()) {
    if (auto text = llvm::dyn_cast<vcs::TextFieldOp>(entry))
      good &= succeeded(readText(evaluator, text, fields));
    if (auto label = llvm::dyn_cast<vcs::LabelFieldOp>(entry))
      good &= succeeded(readLabel(evaluator, label, fields));
    if (auto identity = llvm::dyn_cast<vcs::IdentityFieldOp>(entry))
      good &= succeeded(readIdentity(evaluator, identity, fields));
    if (auto accumulate = llvm::dyn_cast<vcs::AccumulateOp>(entry))
      good &= succeeded(readAccumulate(evaluator, accumulate, batch));
  }
  for (auto rows : op.getBody()->getOps<vcs::RowsOp>()) {
    if (!batch.branches.empty() && (!rows.getBranch() || batch.branches.front().branch.empty()))
      return evaluator
          .fault(FaultKind::BadValue, rows.getLoc(), "the batch has rows of two kinds")
          .note(batch.branches.front().loc, "the others are here")
          .help("put them into `alternate { .. }`, which gives each step one of its branches");
    BatchSpec branch = fields;
    branch.loc = rows.getLoc();
    if (rows.getBranch())
      branch.branch = branch.variant = rows.getName().str();
    for (const BatchSpec &other : batch.branches)
      if (other.branch == branch.branch)
        return evaluator
            .fault(FaultKind::BadValue, rows.getLoc(), "the batch has two branches `" + branch.branch + "`")
            .note(other.loc, "the other one");
    good &= succeeded(readRows(evaluator, rows, branch));
    for (const TextSpec &text : branch.texts)
      if (good && branch.rows % text.pack)
        return evaluator
            .fault(FaultKind::BadValue, text.loc,
                   "`" + text.name + "` packs " + std::to_string(text.pack) + " samples into a row, but " +
                       std::to_string(branch.rows) + " samples are no whole number of such rows")
            .note(branch.loc, "the samples of a micro-batch")
            .help("give it a multiple of `pack`");
    batch.branches.push_back(std::move(branch));
  }
  if (!good)
    return failure();
  if (batch.branches.empty())
    return evaluator.fault(FaultKind::MissingKey, op.getLoc(), "the batch says no rows")
        .help("write `clips: 32 from [dataset] { ... }`");
  auto variants = variantsOf(evaluator, batch.branches);
  if (failed(variants))
    return failure();
  batch.variants = std::move(*variants);
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
  DimOrigin origins[] = {origin(media.tiles ? "the number of clips" : "the number of rows"), origin("`frames`"),
                         origin("the number of channels"), origin("`size` (height)"),
                         origin("`size` (width)")};
  int64_t shape[] = {batch.clips(), media.frames, 3, media.height, media.width};
  mlir::Type f32 = g.ops.getF32Type();
  auto type = mlir::RankedTensorType::get(shape, f32);
  // Resized for tiles, pixels are no bytes: they overshoot.
  Tensor pixels = f.input("clip.pixels", shape,
                          media.tiles ? f32 : mlir::Type(g.ops.getIntegerType(8, /*isSigned=*/false)), origins);
  mlir::Value value = media.tiles ? pixels.value : g.ops.create<tg::CastOp>(g.loc, type, pixels.value).getResult();
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
    if (!media && !branch.empty())
      return Value(); // what other branches have: absent here
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
      text.source->samples = rows;
      text.source->pack = text.pack;
      text.source->maxTokens = text.rowTokens;
      text.source->sampleTokens = text.maxTokens;
      text.source->clips = media ? clips() : rows;
      text.source->clipsOfRow = clipsOfRow();
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
    if (label.of.empty())
      return Value(labels);
    auto what =
        mlir::StringAttr::get(evaluator.context(), "the number of values of `" + label.name + "`");
    g.idBounds.insert({labels.value, {static_cast<int64_t>(label.of.size()), {label.loc, what}}});
    return Value(labels);
  }
  return evaluator.fault(FaultKind::UnknownField, loc, "the batch has no `" + name.str() + "`")
      .help(suggest(name, names()));
}

} // namespace vcc::elaborate
