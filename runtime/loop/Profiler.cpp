// SPDX-License-Identifier: Apache-2.0
//
// Times per launch, taken down by the walk, added up by phase, path and kernel.
#include "runtime/loop/Profiler.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Phase.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

namespace vcc::runtime {

using manifest::Function;
using report::Work;

ProfileWindow ProfileWindow::of(int64_t step, int64_t target, int64_t wanted, const std::string &stage) {
  constexpr int64_t Warm = 3;
  int64_t left = target - step;
  if (left < 1)
    throw Failure(Exit::Usage, fmt::format("stage `{}` has no step left to profile", stage),
                  "another --out, or `--resume never`, trains from step 0");
  int64_t warm = std::min(Warm, left - 1);
  return {step + warm, std::min(wanted, left - warm), warm};
}

void checkProfilePath(const std::string &path) {
  namespace fs = std::filesystem;
  std::error_code code;
  auto fail = [&](const std::string &why) {
    throw Failure(Exit::Data, fmt::format("cannot write the profile `{}`: {}", path, why), "name another file by `--profile=FILE`");
  };
  if (fs::is_directory(path, code))
    fail("it is a folder");
  fs::path folder = fs::absolute(path, code).parent_path();
  if (!fs::is_directory(folder, code))
    fail(fmt::format("there is no folder `{}`", folder.string()));
  bool there = fs::exists(path, code);
  int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0)
    fail(std::strerror(errno));
  close(file);
  if (!there)
    unlink(path.c_str());
}

Profiler::Profiler(const VccProgram &program, const VccStage &table, report::Timeline &timeline, StageDevice &device, int threads,
                   ProfileWindow window)
    : Table(table), Device(device), Spans(timeline), Threads(threads), Window(window), Rates(device.rates()) {
  for (uint64_t i = 0; i < program.kernel_count; ++i)
    KernelNames[program.kernels[i].kernel] = program.kernels[i].name;
}

void Profiler::stepBegins(int64_t step) {
  Step = step;
  if (step != Window.first)
    return;
  Begin = report::nowNanoseconds();
  Spans.record(true);
}

bool Profiler::stepEnds(int64_t step) {
  if (!Spans.recording())
    return false;
  End = report::nowNanoseconds();
  Done = step + 1 - Window.first;
  if (Done < Window.count)
    return false;
  Spans.record(false);
  return true;
}

bool Profiler::stop() {
  bool measured = Spans.recording() && Done > 0;
  Spans.record(false);
  return measured;
}

LaunchTime *Profiler::begins(const Function &function) {
  if (!Spans.recording())
    return nullptr;
  Walk &walk = Walks.emplace_back();
  walk.function = function.index, walk.step = Step;
  walk.times.resize(Table.functions[function.index].launch_count);
  walk.begin = report::nowNanoseconds();
  return walk.times.data();
}

void Profiler::ended(const Function &function) {
  Walk &walk = Walks.back();
  walk.end = report::nowNanoseconds();
  Spans.add("loop", {Table.functions[function.index].name, -1, walk.begin, walk.end});
}

std::string Profiler::kernelName(VccKernel kernel) const {
  auto known = KernelNames.find(kernel);
  return known == KernelNames.end() ? "kernel" : known->second;
}

static std::string gemmName(const VccLaunch &launch) {
  const int64_t *ints = launch.ints;
  int64_t batch = ints[VCC_GEMM_BATCH0] * ints[VCC_GEMM_BATCH1];
  std::string name = fmt::format("gemm {}{}x{}x{}", batch > 1 ? fmt::format("{} x ", batch) : std::string(), ints[VCC_GEMM_M],
                                 ints[VCC_GEMM_N], ints[VCC_GEMM_K]);
  // Which operands are read across their rows.
  bool a = ints[VCC_GEMM_A_K] != 1 && ints[VCC_GEMM_K] > 1, b = ints[VCC_GEMM_B_N] != 1 && ints[VCC_GEMM_N] > 1;
  if (a || b)
    name += fmt::format(" {}{}", a ? 't' : 'n', b ? 't' : 'n');
  return ints[VCC_GEMM_PACK_B] ? name + " packed" : name;
}

static std::string attentionName(const VccLaunch &launch, const char *kind) {
  const int64_t *ints = launch.ints;
  int64_t heads = ints[VCC_ATTENTION_H], keyHeads = ints[VCC_ATTENTION_G];
  // Before the workspace, which is the last.
  const VccBuffer *masks = launch.buffers + launch.buffer_count - 3;
  return fmt::format("{} {} x {}x{} {}{}x{}{}{}{}", kind, ints[VCC_ATTENTION_B], ints[VCC_ATTENTION_SQ], ints[VCC_ATTENTION_SK], heads,
                     heads == keyHeads ? std::string() : fmt::format("/{}", keyHeads), ints[VCC_ATTENTION_D],
                     ints[VCC_ATTENTION_CAUSAL] ? " causal" : "", masks[0].region == VCC_REGION_NONE ? "" : " lengths",
                     masks[1].region == VCC_REGION_NONE ? "" : " starts");
}

Profiler::Description Profiler::describe(const VccLaunch &launch) const {
  Description about;
  about.path = launch.name ? launch.name : "?";
  about.merged = report::mergedPath(about.path);
  about.phase = phaseName(launch.phase);
  about.floor = Rates.floor(launch.flops, launch.bytes);
  switch (launch.kind) {
  case VCC_LAUNCH_GEMM:
    about.kernel = gemmName(launch);
    break;
  case VCC_LAUNCH_ATTENTION:
    about.kernel = attentionName(launch, "attention");
    break;
  case VCC_LAUNCH_ATTENTION_GRAD:
    about.kernel = attentionName(launch, "attention_grad");
    break;
  case VCC_LAUNCH_FILL:
    about.kernel = "fill";
    break;
  case VCC_LAUNCH_COPY:
    about.kernel = "copy";
    break;
  case VCC_LAUNCH_GATHER:
  case VCC_LAUNCH_REDUCE_SCATTER:
    about.kernel = fmt::format("{} {} ranks", launch.kind == VCC_LAUNCH_GATHER ? "gather" : "reduce_scatter", launch.ints[0]);
    break;
  default:
    about.kernel = Device.kernelName(launch);
    if (about.kernel.empty())
      about.kernel = kernelName(launch.kernel);
  }
  return about;
}

const std::vector<Profiler::Description> &Profiler::descriptions(int64_t function) const {
  auto [entry, isNew] = Known.try_emplace(function);
  if (isNew)
    for (uint64_t i = 0; i < Table.functions[function].launch_count; ++i)
      entry->second.push_back(describe(Table.functions[function].launches[i]));
  return entry->second;
}

/// Also what the walks themselves cost, under "launch gaps".
void Profiler::addLaunches(report::Profile &profile, std::map<std::string, Work> &phases) const {
  std::map<std::string, std::map<std::string, double>> places;
  std::map<int64_t, std::vector<int64_t>> least;
  for (const Walk &walk : Walks) {
    auto &fastest = least[walk.function];
    fastest.resize(walk.times.size(), INT64_MAX);
    for (size_t i = 0; i < walk.times.size() && walk.end <= End; ++i)
      fastest[i] = std::min(fastest[i], walk.times[i].end - walk.times[i].begin);
  }
  for (const Walk &walk : Walks) {
    if (walk.end > End)
      continue; // of a step that did not end
    const auto &about = descriptions(walk.function);
    int64_t inside = 0;
    for (size_t i = 0; i < walk.times.size(); ++i) {
      const VccLaunch &launch = Table.functions[walk.function].launches[i];
      int64_t nanoseconds = walk.times[i].end - walk.times[i].begin;
      Work work{1, double(nanoseconds) / 1e9, double(least[walk.function][i]) / 1e9, about[i].floor, double(launch.flops), double(launch.bytes)};
      inside += nanoseconds;
      phases[about[i].phase].add(work);
      profile.paths[about[i].merged].add(work);
      profile.byPhase[about[i].merged][about[i].phase].add(work);
      profile.kernels[about[i].kernel].add(work);
      places[about[i].kernel][about[i].merged] += work.seconds;
    }
    // Those of an evaluation are part of it.
    if (about.empty() || about.front().phase != "evaluation")
      phases["launch gaps"].seconds += double(walk.end - walk.begin - inside) / 1e9;
  }
  for (const auto &[kernel, paths] : places)
    profile.kernelPath[kernel] =
        std::max_element(paths.begin(), paths.end(), [](const auto &a, const auto &b) { return a.second < b.second; })->first;
}

report::Profile Profiler::profile() const {
  report::Profile profile;
  profile.stage = Table.name, profile.firstStep = Window.first, profile.steps = Done, profile.warm = Window.warm;
  profile.threads = Threads;
  profile.seconds = double(End - Begin) / 1e9;
  profile.flopRate = Rates.flops, profile.byteRate = Rates.bytes, profile.forkSeconds = Rates.fork;
  profile.rateSource = Rates.source;
  std::map<std::string, Work> phases;
  addLaunches(profile, phases);
  double evaluation = phases["evaluation"].seconds;
  for (const report::Timeline::Track &track : Spans.tracks())
    if (track.kind == "loop")
      for (const report::Span &span : track.spans)
        for (const char *kind : {"data wait", "data copy", "checks", "evaluate", "save", "report"})
          if (std::string_view(span.what) == kind && span.end <= End)
            phases[kind].seconds += double(span.end - span.begin) / 1e9;
  // An evaluation is more than its launches: its data and the gaps between them.
  if (phases.count("evaluate")) {
    phases["evaluation"].seconds = std::max(evaluation, phases["evaluate"].seconds);
    phases.erase("evaluate");
  }
  double known = 0;
  for (const char *name : {"data wait", "data copy", "forward", "backward", "update", "launch gaps", "checks", "evaluation", "save", "report"}) {
    auto found = phases.find(name);
    if (found == phases.end() || (found->second.seconds == 0 && found->second.launches == 0))
      continue;
    profile.phases.push_back(*found);
    known += found->second.seconds;
  }
  profile.phases.push_back({"other", Work{0, profile.seconds - known, 0, 0, 0, 0}});
  return profile;
}

} // namespace vcc::runtime
