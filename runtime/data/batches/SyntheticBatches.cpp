// SPDX-License-Identifier: Apache-2.0
//
// Training batches made from the seed alone, of full size: what a step costs can be measured where there is no data.
// Every micro-batch is of its branch's largest variant, its rows are full, as many clips as the variant holds; the later half of a text
// that is supervised at all is. Token ids, pixels and labels are drawn evenly, keyed by (seed, step, place).
#include "runtime/data/batches/Draws.h"
#include "runtime/data/batches/SampleMaker.h"
#include "runtime/data/batches/StageBatches.h"
#include "runtime/program/Failure.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

/// Micro-batches that an epoch of a branch would have: so many that no stage's schedule degenerates.
constexpr int64_t BatchesOfEpoch = 1000;

/// Clips of each row of a variant.
std::vector<uint32_t> clipsOfRows(const manifest::Batch &batch) {
  if (!batch.media)
    return std::vector<uint32_t>(static_cast<size_t>(batch.rows), 0);
  std::vector<uint32_t> clips(static_cast<size_t>(batch.rows), 1);
  if (!batch.media->tiles)
    return clips;
  int64_t each = batch.media->tiles->most + batch.media->tiles->global, left = batch.media->tiles->clips;
  for (int64_t row = 0; row < batch.rows; ++row) {
    // Those that come later have at least one tile and the whole.
    int64_t kept = (batch.rows - row - 1) * (1 + batch.media->tiles->global);
    int64_t taken = std::min(each, left - kept);
    clips[static_cast<size_t>(row)] = static_cast<uint32_t>(taken);
    left -= taken;
  }
  return clips;
}

class SyntheticBatches : public BatchSource {
public:
  SyntheticBatches(const manifest::Manifest &manifest, const manifest::Stage &stage, const DataOptions &options)
      : Manifest(manifest), Options(options), Branches(largestOf(stage)),
        Order(orderOf(Branches, options), ruleOf(stage), options.seed) {}

  int64_t samples() const override {
    int64_t all = 0;
    for (const manifest::Batch *branch : Branches)
      all += BatchesOfEpoch * branch->rows * Options.world;
    return all;
  }
  int64_t stepAt(double epochs) const override { return Order.stepAt(epochs); }
  int micros(int64_t step) const override { return static_cast<int>(Order.plan(step)->micros.size()); }
  std::string account() const override {
    return fmt::format("synthetic: full rows of drawn tokens, pixels and labels; an epoch has {} micro-batches of each branch", BatchesOfEpoch);
  }

  Micro micro(int64_t step, int micro) override {
    const MicroBatch at = Order.plan(step)->micros.at(static_cast<size_t>(micro));
    return {branchOf(at).variant, at.first, branchOf(at).rows};
  }

  void fill(int64_t step, int micro, const HostTensors &destination, BatchReport &report) override {
    std::shared_ptr<const StepPlan> plan = Order.plan(step);
    const MicroBatch &at = plan->micros.at(static_cast<size_t>(micro));
    const manifest::Batch &batch = branchOf(at);
    BatchWriter writer(batch, batch, destination);
    std::vector<uint32_t> clips = clipsOfRows(batch);
    std::vector<RowTexts> rows;
    std::vector<const RowTexts *> texts;
    int64_t first = at.first + Options.rank * batch.rows;
    for (int64_t r = 0; r < batch.rows; ++r)
      rows.push_back(textsOf(batch, step, first + r, clips[static_cast<size_t>(r)]));
    for (const RowTexts &row : rows)
      texts.push_back(&row);
    writer.packedTexts(texts);
    std::vector<uint8_t> pixels;
    for (int64_t r = 0; r < batch.rows; ++r) {
      uint32_t count = clips[static_cast<size_t>(r)];
      if (batch.media)
        drawPixels(batch, Draws(Options.seed, Purpose::Synthetic, static_cast<uint64_t>(step), static_cast<uint64_t>(first + r)), count, pixels);
      writer.row(r, rows[static_cast<size_t>(r)], pixels.data(), count);
      for (const TextRow &text : rows[static_cast<size_t>(r)].Texts)
        report.tokens += text.Tokens, report.supervised += text.Supervised;
    }
    writer.emptyClips();
    report.samples += batch.rows;
    writer.totals(supervised(*plan), plan->places);
  }

private:
  static std::vector<const manifest::Batch *> largestOf(const manifest::Stage &stage) {
    std::vector<const manifest::Batch *> largest;
    for (const Variants &variants : branchesOf(stage))
      largest.push_back(variants.back());
    return largest;
  }

  static std::vector<StepOrder::Branch> orderOf(const std::vector<const manifest::Batch *> &branches, const DataOptions &options) {
    std::vector<StepOrder::Branch> order;
    for (const manifest::Batch *branch : branches)
      order.push_back({BatchesOfEpoch, branch->rows * options.world});
    return order;
  }

  const manifest::Batch &branchOf(const MicroBatch &micro) const { return *Branches[static_cast<size_t>(micro.branch)]; }

  /// Tokens of text that a row's field is full with.
  static int64_t tokensOf(const manifest::Field &field) {
    return field.pack == 1 ? field.maxTokens : std::min(field.maxTokens, field.packedTokens / field.pack);
  }
  /// Of these, from which on they are supervised.
  static int64_t supervisedFrom(const manifest::Field &field) {
    int64_t tokens = tokensOf(field);
    return field.supervise == "none" ? tokens : field.supervise == "all" || field.kind == manifest::Field::Kind::Text ? 0 : tokens / 2;
  }

  TextRow textOf(const manifest::Field &field, Draws &draws, uint32_t clips) const {
    int64_t tokens = tokensOf(field), from = supervisedFrom(field), visual = clips * field.visualOfEach(), before = std::min<int64_t>(1, tokens);
    auto vocabulary = static_cast<uint64_t>(Manifest.tokenizers.at(field.tokenizer).vocab);
    TextRow row;
    row.Length = static_cast<int32_t>(tokens + visual);
    row.Tokens = tokens;
    row.Ids.assign(static_cast<size_t>(field.length), 0);
    row.Labels.assign(static_cast<size_t>(field.length), TextField::Unsupervised);
    int64_t start = field.side == "left" ? field.length - row.Length : 0;
    if (visual > 0)
      row.VisualAt = start + before;
    for (int64_t i = 0; i < tokens; ++i) {
      auto at = static_cast<size_t>(start + i + (i < before ? 0 : visual));
      row.Ids[at] = static_cast<int32_t>(draws.below(vocabulary));
      if (i < from)
        continue;
      row.Labels[at] = row.Ids[at];
      row.Supervised += at >= 1;
    }
    return row;
  }

  RowTexts textsOf(const manifest::Batch &batch, int64_t step, int64_t place, uint32_t clips) const {
    Draws draws(Options.seed, Purpose::Synthetic, static_cast<uint64_t>(step), static_cast<uint64_t>(place));
    RowTexts row;
    row.Id = row.LocalId = static_cast<int32_t>(place);
    for (const manifest::Field &field : batch.fields) {
      if (field.isText())
        row.Texts.push_back(textOf(field, draws, clips));
      else
        row.Labels.push_back(field.kind == manifest::Field::Kind::Label ? static_cast<int32_t>(draws.below(field.of.size()))
                                                                        : static_cast<int32_t>(place));
    }
    return row;
  }

  /// From 0 to 255, as a file's are; those of tiles are f32.
  static void drawPixels(const manifest::Batch &batch, Draws draws, uint32_t clips, std::vector<uint8_t> &pixels) {
    const manifest::Media &media = *batch.media;
    auto numbers = static_cast<size_t>(clips * media.frames * 3 * media.height * media.width);
    auto byte = [&, left = 0, word = uint64_t(0)]() mutable {
      if (left == 0)
        word = draws.next(), left = 8;
      --left;
      return static_cast<uint8_t>(word >> (8 * left));
    };
    if (!media.tiles) {
      pixels.resize(numbers);
      std::generate(pixels.begin(), pixels.end(), byte);
      return;
    }
    std::vector<float> values(numbers);
    std::generate(values.begin(), values.end(), byte);
    pixels.resize(numbers * sizeof(float));
    std::memcpy(pixels.data(), values.data(), pixels.size());
  }

  /// Supervised targets of the whole step by field: every row of a branch has as many.
  std::map<std::string, int64_t> supervised(const StepPlan &plan) const {
    std::map<std::string, int64_t> totals;
    for (const MicroBatch &micro : plan.micros) {
      const manifest::Batch &batch = branchOf(micro);
      std::vector<uint32_t> clips = clipsOfRows(batch);
      for (const manifest::Field &field : batch.fields) {
        if (!field.isText())
          continue;
        for (uint32_t count : clips) {
          Draws any(0, Purpose::Synthetic, 0, 0);
          totals[field.name] += Options.world * textOf(field, any, count).Supervised;
        }
      }
    }
    return totals;
  }

  const manifest::Manifest &Manifest;
  const DataOptions Options;
  const std::vector<const manifest::Batch *> Branches; // the largest variant of each
  const StepOrder Order;
};

} // namespace
} // namespace vcc::runtime::data

namespace vcc::runtime {

std::unique_ptr<BatchSource> openSyntheticSource(const manifest::Manifest &manifest, const manifest::Stage &stage,
                                                 const DataOptions &options, report::Log &) {
  return std::make_unique<data::SyntheticBatches>(manifest, stage, options);
}

} // namespace vcc::runtime
