// SPDX-License-Identifier: Apache-2.0
//
// The recipe as compiled, for a person.
#include "runtime/loop/Overview.h"

#include "runtime/loop/StageRun.h"
#include "runtime/loop/Summary.h"
#include "runtime/weights/Files.h"
#include "runtime/weights/Start.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

namespace vcc::runtime {

using manifest::Stage;
using manifest::State;

static std::string grouped(int64_t number) {
  std::string digits = std::to_string(number), text;
  for (size_t i = 0; i < digits.size(); ++i)
    text += (i && (digits.size() - i) % 3 == 0 ? "," : "") + std::string(1, digits[i]);
  return text;
}

/// `vision 252,544, bridge 190,080 (442,624 weights)` of the trained or of the frozen ones.
static std::string countsOf(const Stage &stage, bool trainable) {
  std::map<std::string, int64_t> counts;
  std::vector<std::string> order;
  int64_t total = 0;
  for (const State &state : stage.states) {
    if (state.kind != State::Kind::Weight || state.isGroup() || state.trainable != trainable)
      continue;
    std::string part = state.path.substr(0, state.path.find_first_of(".["));
    if (!counts.count(part))
      order.push_back(part);
    counts[part] += elementsOf(state.shape);
    total += elementsOf(state.shape);
  }
  std::string text;
  for (const std::string &part : order)
    text += (text.empty() ? "" : ", ") + part + " " + grouped(counts[part]);
  return text.empty() ? "nothing" : order.size() > 1 ? text + " (" + grouped(total) + ")" : text;
}

static std::string dataOf(const manifest::Manifest &manifest, const Stage &stage, const Options &options) {
  std::set<std::string> files;
  auto add = [&](const manifest::Batch &batch) {
    for (const std::string &name : batch.datasets)
      files.insert(manifest.datasets.at(name).file);
    for (const manifest::Field &field : batch.fields)
      if (auto it = manifest.tokenizers.find(field.tokenizer); it != manifest.tokenizers.end())
        files.insert(it->second.file);
  };
  for (const auto &[variant, batch] : stage.batch)
    add(batch);
  for (const manifest::Evaluation &evaluation : stage.evaluations)
    add(evaluation.batch);
  std::string text;
  for (const std::string &file : files) {
    std::string path = (std::filesystem::path(options.data) / file).string();
    text += (text.empty() ? "" : ", ") + path + (exists(path) ? "" : " (missing)");
  }
  return text;
}

static std::string stateOf(const Stage &stage, const Options &options) {
  StageFolder folder(options.out, stage.name);
  if (auto summary = readSummary(folder.summary))
    return fmt::format("{} after {} of {} steps", summary->steps < summary->total ? "stopped" : "done",
                       summary->steps, summary->total);
  std::error_code error;
  std::string newest;
  for (const auto &entry : std::filesystem::directory_iterator(folder.checkpoints, error))
    if (exists((entry.path() / "DONE").string()))
      newest = std::max(newest, entry.path().string());
  return newest.empty() ? "not started" : "interrupted, newest checkpoint " + newest;
}

static std::string sourcesOf(const Stage &stage) {
  std::vector<std::string> sources;
  for (const State &state : stage.states)
    for (const manifest::Start &start : state.start) {
      std::string text = start.kind == manifest::Start::Kind::Stage ? "stage " + start.name
                         : start.kind == manifest::Start::Kind::File ? start.name
                                                                     : "init";
      if (std::find(sources.begin(), sources.end(), text) == sources.end())
        sources.push_back(text);
    }
  return sources.empty() ? "init" : fmt::format("{}", fmt::join(sources, ", "));
}

static std::string describe(const manifest::Manifest &manifest, const Stage &stage, const Options &options) {
  std::string number = stage.number ? std::to_string(stage.number) + " " : "";
  std::string length = stage.steps ? fmt::format("{} step{}", stage.steps, stage.steps == 1 ? "" : "s")
                                   : fmt::format("{} epoch{}", stage.epochs, stage.epochs == 1 ? "" : "s");
  if (stage.accumulate > 1)
    length += fmt::format(" of {} micro-batches", stage.accumulate);
  if (stage.ranks)
    length += fmt::format(", by {} rank{}", stage.ranks, stage.ranks == 1 ? "" : "s");
  else if (stage.parallel)
    length += ", by any number of ranks";
  std::string text = fmt::format("stage {}{}: {}\n", number, stage.name, length);
  text += "  trains  " + countsOf(stage, true) + "\n";
  text += "  frozen  " + countsOf(stage, false) + "\n";
  text += "  starts  from " + sourcesOf(stage) + "\n";
  for (const std::string &missing : missingSources(stage, {options.out, options.weights, true}))
    text += "  needs   " + missing + " (missing)\n";
  if (std::string data = dataOf(manifest, stage, options); !data.empty())
    text += "  reads   " + data + "\n";
  text += fmt::format("  memory  {:.1f} MB\n", double(stage.weightsBytes + stage.stateBytes + stage.arenaBytes + stage.ioBytes) / 1e6);
  return text + "  state   " + stateOf(stage, options) + "\n";
}

static std::string headOf(const manifest::Manifest &manifest) {
  return fmt::format("{}, compiled by vcc {} for {}{}\n", manifest.recipe, manifest.vcc, manifest.target,
                     manifest.cpu.empty() ? "" : fmt::format(" ({})", manifest.cpu));
}

std::string versionOf(const manifest::Manifest &manifest) {
  std::string text = headOf(manifest) + fmt::format("ABI {}\n", VCC_ABI_VERSION);
  for (const Stage &stage : manifest.stages)
    text += fmt::format("stage {}{}: {}, {}\n", stage.number ? std::to_string(stage.number) + " " : "", stage.name, stage.precision, stage.identity);
  return text;
}

std::string overviewOf(const manifest::Manifest &manifest, const Options &options) {
  std::string text = headOf(manifest);
  for (const Stage &stage : manifest.stages)
    text += "\n" + describe(manifest, stage, options);
  return text + "\nrun with --stage N, a name, or all; --help lists the options\n";
}

} // namespace vcc::runtime
