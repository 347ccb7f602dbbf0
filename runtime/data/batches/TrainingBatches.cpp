// SPDX-License-Identifier: Apache-2.0
//
// The training side of BatchSource. A step is the micro-batches that StepOrder gives it; its places are
// numbered micro-batch, rank, row. What a sample draws is keyed by (seed, step, place). A sample that
// cannot be used is replaced by one that is drawn by the same numbers: text and media together, or, with `fallback: media` where it is
// the clip that cannot, the clip alone.
#include "runtime/data/batches/AheadQueue.h"
#include "runtime/data/batches/TrainingBranch.h"
#include "runtime/program/Failure.h"
#include "runtime/weights/Files.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

constexpr int64_t BytesAhead = 256 << 20;

class TrainingBatches : public BatchSource {
public:
  TrainingBatches(const manifest::Manifest &manifest, const manifest::Stage &stage,
                  const DataOptions &options)
      : Options(options), Rule(ruleOf(stage)), Branches(open(manifest, stage, options)),
        Order(orderOf(Branches), Rule, options.seed),
        Queue(
            options.workers, groupsAhead(), INT64_MAX,
            [this](int64_t step) { return Order.plan(step)->places; },
            [this](int64_t step, int64_t place) { return make(step, place); }) {
    for (const auto &branch : Branches)
      Numbers.add(branch->data(), branch->batch());
    for (const auto &branch : Branches) {
      Content.merge(branch->data().content());
      for (const manifest::Field &field : branch->batch().fields)
        if (field.isText()) {
          const std::string &file = manifest.tokenizers.at(field.tokenizer).file;
          MappedFile words((std::filesystem::path(options.dir) / file).string());
          Content.try_emplace(file, fmt::format("{} bytes, {}", words.size(), hexOf(hashOf(words.data(), words.size()))));
        }
    }
  }

  int64_t samples() const override {
    int64_t all = 0;
    for (const auto &branch : Branches)
      all += static_cast<int64_t>(branch->data().size());
    return all;
  }
  int64_t stepAt(double epochs) const override { return Order.stepAt(epochs); }
  int micros(int64_t step) const override { return static_cast<int>(Order.plan(step)->micros.size()); }
  std::string account() const override;
  std::map<std::string, std::string> content() const override { return Content; }

  std::map<std::string, std::vector<int64_t>> unusable() const override {
    std::map<std::string, std::vector<int64_t>> all;
    for (const auto &branch : Branches)
      for (auto &[dataset, records] : branch->data().refused()) {
        auto &known = all[dataset];
        known.insert(known.end(), records.begin(), records.end());
        std::sort(known.begin(), known.end());
        known.erase(std::unique(known.begin(), known.end()), known.end());
      }
    return all;
  }
  void noteUnusable(const std::map<std::string, std::vector<int64_t>> &records) override {
    for (const auto &branch : Branches)
      branch->data().noteRefused(records);
  }

  Micro micro(int64_t step, int micro) override {
    auto [plan, at] = placeOf(step, micro);
    const TrainingBranch &branch = *Branches[static_cast<size_t>(at.branch)];
    const auto *first = branch.hasBuckets() ? &waited(step)[static_cast<size_t>(at.first)] : nullptr;
    return {branch.hasBuckets() ? branch.variantOf(first).variant : branch.batch().variant, at.first,
            branch.batch().rows};
  }

  void fill(int64_t step, int micro, const HostTensors &destination, BatchReport &report) override {
    auto [plan, at] = placeOf(step, micro);
    const TrainingBranch &branch = *Branches[static_cast<size_t>(at.branch)];
    const auto &group = waited(step);
    const manifest::Batch &variant = branch.variantOf(&group[static_cast<size_t>(at.first)]);
    BatchWriter writer(variant, branch.batch(), destination);
    report::Timed timed(Options.spans, "batches", "assemble");
    int64_t rows = variant.rows, first = at.first + Options.rank * rows;
    std::vector<const RowTexts *> texts;
    for (int64_t r = 0; r < rows; ++r)
      texts.push_back(&group[static_cast<size_t>(first + r)]->Texts);
    writer.packedTexts(texts);
    for (int64_t r = 0; r < rows; ++r) {
      const Sample &sample = *group[static_cast<size_t>(first + r)];
      writer.row(r, sample.Texts, sample.Pixels.data(), sample.Clips);
      add(sample, branch.batch(), destination, report);
    }
    report.emptyClips += writer.emptyClips();
    report.samples += rows;
    writer.totals(supervised(*plan, group), plan->places);
  }

private:
  using Group = AheadQueue<Sample>::Group;

  static std::vector<std::unique_ptr<TrainingBranch>> open(const manifest::Manifest &manifest,
                                                           const manifest::Stage &stage,
                                                           const DataOptions &options) {
    std::vector<std::unique_ptr<TrainingBranch>> branches;
    for (Variants &variants : branchesOf(stage))
      branches.push_back(std::make_unique<TrainingBranch>(manifest, std::move(variants), options, branches.size()));
    return branches;
  }

  static std::vector<StepOrder::Branch> orderOf(const std::vector<std::unique_ptr<TrainingBranch>> &branches) {
    std::vector<StepOrder::Branch> order;
    for (const auto &branch : branches)
      order.push_back({branch->batches(), branch->places()});
    return order;
  }

  int64_t groupsAhead() const {
    int64_t clip = 1;
    for (const auto &branch : Branches)
      clip = std::max(clip, branch->batch().rows * branch->clipBytes());
    int64_t micros = Rule.accumulate * (Rule.across == Across::EveryModality ? static_cast<int64_t>(Branches.size()) : 1);
    return std::clamp<int64_t>(BytesAhead / (micros * clip), 2, 4);
  }

  std::pair<std::shared_ptr<const StepPlan>, MicroBatch> placeOf(int64_t step, int micro) const {
    std::shared_ptr<const StepPlan> plan = step < 0 ? nullptr : Order.plan(step);
    if (!plan || micro < 0 || micro >= static_cast<int>(plan->micros.size()))
      throw Failure(Exit::Internal, fmt::format("micro-batch {} of step {} does not exist", micro, step));
    return {plan, plan->micros[static_cast<size_t>(micro)]};
  }

  const Group &waited(int64_t step) {
    report::Timed timed(Options.spans, "batches", "wait for samples");
    return Queue.take(step);
  }

  /// Supervised is what the step is told so of: of a text whose labels it does not read nothing is.
  void add(const Sample &sample, const manifest::Batch &batch, const HostTensors &destination, BatchReport &report) const {
    size_t text = 0;
    for (const manifest::Field &field : batch.fields) {
      if (!field.isText())
        continue;
      const TextRow &row = sample.Texts.Texts[text++];
      report.tokens += row.Tokens;
      if (destination.count(field.name + ".labels"))
        report.supervised += row.Supervised;
    }
    report.bytes += sample.BytesRead;
    report.replaced.insert(report.replaced.end(), sample.Replaced.begin(), sample.Replaced.end());
  }

  /// Supervised targets of the whole step by field; a branch that does not read a field has none.
  std::map<std::string, int64_t> supervised(const StepPlan &plan, const Group &group) const {
    std::map<std::string, int64_t> totals;
    for (const MicroBatch &micro : plan.micros) {
      const TrainingBranch &branch = *Branches[static_cast<size_t>(micro.branch)];
      size_t text = 0;
      for (const manifest::Field &field : branch.batch().fields) {
        if (!field.isText())
          continue;
        int64_t &total = totals[field.name];
        for (int64_t i = 0; i < branch.places(); ++i)
          total += group[static_cast<size_t>(micro.first + i)]->Texts.Texts[text].Supervised;
        ++text;
      }
    }
    return totals;
  }

  std::unique_ptr<Sample> make(int64_t step, int64_t place) {
    std::shared_ptr<const StepPlan> plan = Order.plan(step);
    const MicroBatch &micro = plan->micros[static_cast<size_t>(plan->microOf(place))];
    TrainingBranch &branch = *Branches[static_cast<size_t>(micro.branch)];
    int64_t within = place - micro.first;
    bool mine = within / branch.batch().rows == Options.rank;
    return branch.make(step, micro, within, mine, Numbers);
  }

  const DataOptions Options;
  const StepRule Rule;
  const std::vector<std::unique_ptr<TrainingBranch>> Branches;
  Identities Numbers;
  std::map<std::string, std::string> Content; // by file
  const StepOrder Order;
  AheadQueue<Sample> Queue; // last: its workers use all of the above
};

std::string TrainingBatches::account() const {
  std::string text;
  int64_t least = INT64_MAX;
  for (const auto &branch : Branches)
    least = std::min(least, branch->batches());
  for (const auto &branch : Branches) {
    int64_t size = static_cast<int64_t>(branch->data().size());
    int64_t batches = Rule.across == Across::EveryModality ? least : branch->batches();
    const std::string &name = branch->batch().branch;
    text += fmt::format("{}{}{} micro-batches of {} an epoch", text.empty() ? "" : "; ", name.empty() ? "" : name + ": ",
                        batches, branch->places());
    if (size < branch->places())
      text += fmt::format(", in which {} samples come round several times", size);
    else if (int64_t left = size - batches * branch->places())
      text += fmt::format(", {} of {} samples left out in turn", left, size);
  }
  return text;
}

} // namespace
} // namespace vcc::runtime::data

namespace vcc::runtime {

std::unique_ptr<BatchSource> openBatchSource(const manifest::Manifest &manifest,
                                             const manifest::Stage &stage,
                                             const DataOptions &options, report::Log &) {
  return std::make_unique<data::TrainingBatches>(manifest, stage, options);
}

} // namespace vcc::runtime
