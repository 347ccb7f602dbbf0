// SPDX-License-Identifier: Apache-2.0
//
// Rows of a batch, how their media are read, and the step variants that branches and lengths make.
#include "compiler/elaborate/Batches.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

static constexpr int64_t kMostRows = 1 << 20;
static constexpr size_t kMostVariants = 64; // each is a function of its own

/// A list or tuple of so many numbers.
template <size_t Count> static std::optional<std::array<double, Count>> numbersOf(const Value &value) {
  auto *items = value.asSequence();
  if (!items || items->size() != Count ||
      !llvm::all_of(*items, [](const Value &v) { return v.isNumber(); }))
    return std::nullopt;
  std::array<double, Count> found;
  for (auto [to, from] : llvm::zip_equal(found, *items))
    to = *from.asNumber();
  return found;
}

static FailureOr<std::array<double, 3>> channels(Evaluator &evaluator, const Options &options,
                                                 StringRef name, double otherwise) {
  std::array<double, 3> result{otherwise, otherwise, otherwise};
  const Value *value = options.find(name);
  if (!value) {
    options.assume(name, Value(otherwise));
    return result;
  }
  if (auto number = value->asNumber()) {
    result.fill(*number);
    return result;
  }
  if (auto three = numbersOf<3>(*value))
    return *three;
  return evaluator.fault(FaultKind::TypeMismatch, options.loc(name),
                         "`" + name.str() + "` must be a number or three of them but is " +
                             value->describe());
}

/// Two numbers above zero, the first not above the second.
static FailureOr<std::array<double, 2>> range(Evaluator &evaluator, const Options &options,
                                              StringRef name, std::array<double, 2> otherwise,
                                              double most) {
  const Value *value = options.find(name);
  if (!value) {
    options.assume(name, Value::tuple({Value(otherwise[0]), Value(otherwise[1])}));
    return otherwise;
  }
  auto found = numbersOf<2>(*value);
  if (!found)
    return evaluator.fault(FaultKind::TypeMismatch, options.loc(name),
                           "`" + name.str() + "` must be two numbers, the least and the most, but is " +
                               value->describe());
  std::array<double, 2> ends = *found;
  if (!(ends[0] > 0) || !(ends[0] <= ends[1]) || !(ends[1] <= most))
    return evaluator.fault(FaultKind::BadValue, options.loc(name),
                           "`" + name.str() + "` goes from a number above zero to one that is not below it" +
                               (most <= 1 ? " and at most 1" : ""));
  return ends;
}

static FailureOr<MediaSpec> readMedia(Evaluator &evaluator, const Options &options,
                                      mlir::Location loc) {
  MediaSpec media(loc);
  auto frames = options.integer("frames", 1);
  auto sample = options.choice("sample", "middle", {"random", "middle", "random_exclusive", "still"});
  auto flip = options.flag("flip", false), antialias = options.flag("antialias", true);
  auto crop = options.choice("crop", "none", {"none", "center", "random"}),
       resize = options.choice("resize", "exact", {"exact", "short_side"}),
       fallback = options.choice("fallback", "sample", {"sample", "media"});
  auto scale = range(evaluator, options, "scale", {0.5, 1}, 1),
       ratio = range(evaluator, options, "ratio", {3.0 / 4, 4.0 / 3}, 1e6);
  auto mean = channels(evaluator, options, "mean", 0), std = channels(evaluator, options, "std", 1);
  if (failed(frames) || failed(sample) || failed(flip) || failed(crop) || failed(mean) ||
      failed(std) || failed(resize) || failed(fallback) || failed(antialias) || failed(scale) || failed(ratio))
    return failure();
  for (const char *name : {"scale", "ratio"})
    if (options.find(name) && *crop != "random")
      return evaluator.fault(FaultKind::BadValue, options.loc(name),
                             "`" + std::string(name) + "` is of a random crop")
          .help("write `crop: random`, or leave it out");
  if (*resize != "exact" && *crop != "none")
    return evaluator.fault(FaultKind::BadValue, options.loc("resize"),
                           "`resize: short_side` cuts already, so there is no `crop: " + *crop + "` beside it");
  media.resize = *resize;
  media.antialias = *antialias;
  media.fallback = *fallback;
  media.scale = *scale;
  media.ratio = *ratio;
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

static LogicalResult readWeights(Evaluator &evaluator, vcs::RowsOp op, BatchSpec &batch) {
  Frame frame;
  auto values = evaluator.run(op.getWeights(), frame);
  if (failed(values))
    return failure();
  for (const Value &value : *values) {
    auto weight = evaluator.number(value, "a weight of `weighted`", op.getLoc());
    if (failed(weight))
      return failure();
    if (!(*weight > 0) || !(*weight < 1e12))
      return evaluator.fault(FaultKind::BadValue, op.getLoc(),
                             "a weight of `weighted` must be above zero")
          .help("leave the dataset out to draw nothing from it");
    batch.weights.push_back(*weight);
  }
  if (batch.weights.size() != batch.datasets.size())
    return evaluator.fault(FaultKind::BadValue, op.getLoc(), "`weighted` needs a weight for each dataset");
  return success();
}

/// Rows with clips are of datasets whose records name a file.
static LogicalResult requireMedia(Evaluator &evaluator, vcs::DatasetOp dataset, mlir::Location loc) {
  auto value = evaluator.evaluate(dataset.getSource());
  if (failed(value))
    return failure();
  const StructValue *source = value->asStruct();
  auto format = source && source->declaration ? llvm::dyn_cast<vcs::DatasetFormatOp>(source->declaration) : vcs::DatasetFormatOp();
  if (!format || llvm::any_of(format.getBody()->getOps<vcs::RecordFieldOp>(), [](vcs::RecordFieldOp field) { return field.getName() == "media"; }))
    return success();
  return evaluator
      .fault(FaultKind::BadValue, loc, "the rows have clips, but records of `" + symbolName(dataset) + "` name no `media`")
      .note(dataset.getLoc(), "the dataset is declared here")
      .note(format.getLoc(), "its format")
      .help("rows of text alone say neither `size` nor `frames`");
}

LogicalResult readRows(Evaluator &evaluator, vcs::RowsOp op, BatchSpec &batch) {
  auto count = evaluator.evaluate(op.getCount());
  auto source = evaluator.evaluate(op.getSource());
  auto options =
      Options::read(evaluator, op.getOptions(), "`" + op.getName().str() + "`",
                    {"frames", "sample", "size", "mean", "std", "flip", "crop", "cache", "turn", "scale", "ratio",
                     "resize", "antialias", "media", "tiles", "global", "buckets", "fallback"});
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
    auto *callable = value.asCallable();
    auto dataset = callable ? llvm::dyn_cast<vcs::DatasetOp>(callable->declaration) : vcs::DatasetOp();
    if (!dataset)
      return evaluator.fault(FaultKind::TypeMismatch, op.getLoc(),
                             "a dataset is needed here but this is " + value.describe());
    batch.datasets.push_back(dataset);
  }
  if (!op.getWeights().empty() && failed(readWeights(evaluator, op, batch)))
    return failure();
  auto turn = options->choice("turn", "all", {"all", "random", "shuffle"});
  if (failed(turn))
    return failure();
  batch.turn = *turn;
  if (llvm::none_of(options->entries, [](auto &entry) { return entry.first != "turn"; }))
    return success();
  auto media = readMedia(evaluator, *options, op.getLoc());
  if (failed(media))
    return failure();
  // Branches tell pictures from films; of plain rows each is what its recipe says.
  auto kind = options->choice("media", batch.branch.empty() ? "any" : media->frames == 1 ? "image" : "video",
                              {"any", "image", "video"});
  if (failed(kind))
    return failure();
  media->kind = *kind;
  if (failed(readTiles(evaluator, *options, batch.rows, *media)))
    return failure();
  batch.media = *media;
  for (vcs::DatasetOp dataset : batch.datasets)
    if (failed(requireMedia(evaluator, dataset, op.getLoc())))
      return failure();
  return success();
}

std::string BatchSpec::name() const {
  std::string made = branch.empty() ? "main" : branch;
  if (mediaRead && media->tiles && media->tiles->totals.size() > 1)
    made += ".clips" + std::to_string(media->clips);
  for (const TextSpec &text : texts)
    if (!text.buckets.empty() && text.source)
      made += "." + std::to_string(text.rowTokens);
  return made;
}

bool BatchSpec::sameInputs(const BatchSpec &other) const {
  if (branch != other.branch || (mediaRead && clips() != other.clips()))
    return false;
  for (auto [mine, theirs] : llvm::zip(texts, other.texts))
    if (mine.source && mine.rowTokens != theirs.rowTokens)
      return false;
  return true;
}

/// A branch for each number of clips that a step of it is compiled for.
static std::vector<BatchSpec> byClips(const BatchSpec &branch) {
  if (!branch.media || !branch.media->tiles || branch.media->tiles->totals.size() < 2)
    return {branch};
  std::vector<BatchSpec> made;
  for (int64_t total : branch.media->tiles->totals) {
    made.push_back(branch);
    made.back().media->clips = total;
    made.back().variant += ".clips" + std::to_string(total);
  }
  return made;
}

FailureOr<std::vector<BatchSpec>> variantsOf(Evaluator &evaluator, const std::vector<BatchSpec> &branches) {
  std::vector<BatchSpec> all;
  for (const BatchSpec &branch : branches) {
    std::vector<BatchSpec> made = byClips(branch);
    auto tooMany = [&](mlir::Location loc) -> LogicalResult {
      return evaluator
          .fault(FaultKind::BadValue, loc, "the batch has more than " + std::to_string(kMostVariants) + " step variants")
          .help("give fewer `buckets`, or only to the longest text");
    };
    if (all.size() + made.size() > kMostVariants)
      return tooMany(branch.loc);
    for (size_t field = 0; field < branch.texts.size(); ++field) {
      if (branch.texts[field].buckets.empty())
        continue;
      std::vector<BatchSpec> longer;
      for (const BatchSpec &spec : made)
        for (int64_t length : branch.texts[field].buckets) {
          longer.push_back(spec);
          longer.back().texts[field].setLength(length);
          longer.back().variant += "." + std::to_string(length);
        }
      made = std::move(longer);
      if (all.size() + made.size() > kMostVariants)
        return tooMany(branch.texts[field].loc);
    }
    all.insert(all.end(), made.begin(), made.end());
  }
  return all;
}

} // namespace vcc::elaborate
