// SPDX-License-Identifier: Apache-2.0
//
// Sums and agreements between ranks. With one rank nothing here does anything.
#include "runtime/loop/Ranks.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <sched.h>
#include <unistd.h>

namespace vcc::runtime {

using manifest::Stage;

void checkRanks(const Stage &stage, int ranks, bool trains) {
  if (ranks > 1 && !stage.parallel)
    throw Failure(Exit::Usage,
                  fmt::format("{} ranks were started, but stage `{}` was compiled for one: each would train the same", ranks, stage.name),
                  "say `parallel { shard: none }` in the stage, or start one rank");
  if (trains && stage.ranks && stage.ranks != ranks)
    throw Failure(Exit::Usage, fmt::format("stage `{}` was compiled for {} ranks, but {} {} started", stage.name, stage.ranks, ranks,
                                           ranks == 1 ? "was" : "were"),
                  stage.ranks == 1 ? std::string("start it without mpirun")
                                   : fmt::format("start it by `mpirun -n {}`, or compile it for {}", stage.ranks, ranks));
}

int usableThreads(World &world) {
  struct {
    char host[256];
    cpu_set_t set;
  } mine = {};
  gethostname(mine.host, sizeof mine.host - 1);
  // Who cannot tell shares with nobody and has one thread, but is asked by the others all the same.
  if (sched_getaffinity(0, sizeof mine.set, &mine.set) != 0)
    CPU_ZERO(&mine.set);
  std::vector<decltype(mine)> all(static_cast<size_t>(world.size()));
  world.gather(&mine, all.data(), sizeof mine);
  int sharers = 0;
  for (const auto &other : all) {
    cpu_set_t both;
    CPU_AND(&both, &mine.set, &other.set);
    sharers += std::strcmp(mine.host, other.host) == 0 && CPU_COUNT(&both) > 0;
  }
  return std::max(1, CPU_COUNT(&mine.set) / std::max(1, sharers));
}

void sumGradients(World &world, const StageProgram &program) {
  if (world.size() == 1)
    return;
  for (const GradientSpan &span : outermost(gradientSpans(program.stage())))
    world.sum(reinterpret_cast<float *>(program.memory().at(span.region, span.begin)), int64_t((span.end - span.begin) / sizeof(float)));
}

static std::string packed(const std::vector<std::pair<std::string, std::string>> &pairs) {
  std::string text;
  for (const auto &[name, reason] : pairs)
    text += fmt::format("{}:{}{}:{}", name.size(), name, reason.size(), reason);
  return text;
}

static std::string takeText(const std::string &text, size_t &at) {
  size_t colon = text.find(':', at), length = std::stoul(text.substr(at, colon - at));
  at = colon + 1 + length;
  return text.substr(colon + 1, length);
}

void joinReports(World &world, report::StepReport &report) {
  if (world.size() == 1)
    return;
  std::vector<double> numbers = {double(report.samples), double(report.tokens), double(report.supervised), double(report.emptyClips.value_or(0))};
  for (const auto &[name, value] : report.values)
    numbers.push_back(isLoss(name) ? value : value / double(world.size()));
  world.sum(numbers.data(), int64_t(numbers.size()));
  report.samples = int64_t(numbers[0]), report.tokens = int64_t(numbers[1]), report.supervised = int64_t(numbers[2]);
  if (report.emptyClips)
    report.emptyClips = int64_t(numbers[3]);
  for (size_t i = 0; i < report.values.size(); ++i)
    report.values[i].second = numbers[i + 4];
  std::vector<double> waits(static_cast<size_t>(world.size()));
  world.gather(&report.dataWait, waits.data(), sizeof report.dataWait);
  report.dataWait = *std::max_element(waits.begin(), waits.end());
  std::vector<std::pair<std::string, std::string>> replaced;
  for (const std::string &text : world.gather(packed(report.replaced)))
    for (size_t at = 0; at < text.size();) {
      std::string sample = takeText(text, at);
      replaced.emplace_back(std::move(sample), takeText(text, at));
    }
  report.replaced = std::move(replaced);
}

std::string firstOf(World &world, const std::string &mine) {
  for (std::string &text : world.gather(mine))
    if (!text.empty())
      return std::move(text);
  return {};
}

std::string earliestOf(World &world, const NotFinite &mine) {
  std::vector<uint64_t> launches(static_cast<size_t>(world.size()));
  world.gather(&mine.launch, launches.data(), sizeof mine.launch);
  bool earliest = mine.launch == *std::min_element(launches.begin(), launches.end());
  return firstOf(world, earliest ? mine.clause : std::string());
}

} // namespace vcc::runtime
