// SPDX-License-Identifier: Apache-2.0
//
// One optimizer step: micro-batches, the check that every number is finite, the update, the report.
#include "runtime/device/cpu/Threads.h"
#include "runtime/loop/Dump.h"
#include "runtime/loop/Ranks.h"
#include "runtime/loop/StageRun.h"
#include "runtime/loop/Trace.h"
#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace vcc::runtime {

using manifest::Function;
using manifest::State;

const Function &StageRun::functionOf(const std::string &variant) const {
  const Function *function = Stage.find(Function::Role::Micro, variant);
  if (!function)
    throw Failure(Exit::Internal, fmt::format("stage `{}` has no function for batches of `{}`", Stage.name, variant));
  return *function;
}

StepInputs StageRun::inputsOf(int64_t index, int64_t firstSample) const {
  StepInputs inputs;
  inputs.seed = Seed, inputs.step = index;
  inputs.firstSample = firstSample;
  inputs.totalSteps = double(Total), inputs.stepsPerEpoch = StepsPerEpoch;
  inputs.rank = Context.world.rank();
  return inputs;
}

static void addOutputs(report::StepReport &report, const std::vector<Scalar> &scalars) {
  for (const Scalar &scalar : scalars) {
    double value = scalar.value;
    auto it = std::find_if(report.values.begin(), report.values.end(),
                           [&](const auto &entry) { return entry.first == scalar.name; });
    if (it == report.values.end())
      report.values.emplace_back(scalar.name, value);
    else
      it->second += value;
  }
}

/// Losses are shares of the step's value and have been added up; other reports are averaged over the micro-batches that made
/// them, which need not be all: variants differ.
static void average(report::StepReport &report, const std::map<std::string, int64_t> &times) {
  for (auto &[name, value] : report.values)
    if (!isLoss(name))
      value /= double(times.at(name));
}

const Slot &StageRun::taken(Prefetch &prefetch) {
  report::Timed timed(Spans.get(), "loop", "data wait");
  return prefetch.take();
}

void StageRun::micro(Underway &step, int64_t number, bool isLast, Prefetch *prefetch) {
  const Function *taking = Stage.find(Function::Role::Micro);
  int64_t index = step.report.step, firstSample = number * Context.world.size() + Context.world.rank();
  if (prefetch) {
    const Slot &slot = taken(*prefetch);
    report::StepReport &report = step.report;
    taking = &functionOf(slot.place.variant);
    firstSample = slot.place.first + Context.world.rank() * slot.place.rows;
    if (Stage.batch.size() > 1)
      report.variants.push_back(slot.place.variant);
    if (slot.step != index || slot.micro != number)
      throw Failure(Exit::Internal, fmt::format("batch {}.{} came for step {}.{}", slot.step, slot.micro, index, number));
    report::Timed timed(Spans.get(), "loop", "data copy");
    HostTensors inputs = Program->dataInputs(*taking);
    for (const auto &[name, tensor] : slot.tensors)
      std::memcpy(inputs.at(name).data, tensor.data, size_t(elementsOf(tensor.shape) * bytesOf(tensor.dtype)));
    if (step.dump)
      step.dump->inputs(int(number), slot.tensors);
    report.samples += slot.report.samples, report.tokens += slot.report.tokens;
    report.supervised += slot.report.supervised;
    if (report.emptyClips)
      *report.emptyClips += slot.report.emptyClips;
    for (const Replacement &replacement : slot.report.replaced)
      report.replaced.emplace_back(replacement.sample, replacement.reason);
    prefetch->release();
  }
  LastMicro = taking;
  step.micros.push_back(taking);
  if (isLast)
    Program->device().sumAfterNext();
  Program->begin(*taking, inputsOf(index, firstSample));
}

void StageRun::finishMicro(Underway &step, int64_t number) {
  const Function &function = *step.micros[size_t(number)];
  Program->finish();
  if (step.dump)
    step.dump->systemInputs(int(number), function);
  std::vector<Scalar> scalars = Program->scalars(function);
  addOutputs(step.report, scalars);
  for (const Scalar &scalar : scalars)
    ++step.times[scalar.name];
  // Here, while the micro-batch that made it still lies in the io region; the step ends the run.
  trace(function, !std::all_of(scalars.begin(), scalars.end(), [](const Scalar &s) { return std::isfinite(s.value); }));
}

/// Called by all ranks at the same place. A function that joins ranks is walked again by all of them where one wants it, any
/// other by those who want it.
void StageRun::trace(const Function &function, bool wanted) {
  if (!Program->device().isHost())
    return;
  wanted = wanted && Cause.clause.empty();
  if (Program->device().joinsRanks(function.index))
    wanted = Context.world.sum(wanted ? 1.0 : 0.0) > 0;
  if (!wanted)
    return;
  NotFinite found = whereNotFinite(*Program, function);
  if (Cause.clause.empty())
    Cause = std::move(found);
}

/// What is wrong is known before the update where the device is the host, else a step later, before anything is saved.
void StageRun::finishMicros(Underway &step) {
  average(step.report, step.times);
  {
    report::Timed timed(Spans.get(), "loop", "ranks");
    if (!Program->device().sumsGradients())
      sumGradients(Context.world, *Program);
    joinReports(Context.world, step.report);
  }
  {
    report::Timed timed(Spans.get(), "loop", "checks");
    checkFinite(step.report.step, step.report);
    checkGradients(step.report.step, step.report);
  }
  if (step.dump)
    step.dump->gradients();
}

void StageRun::finishUpdate(Underway &step) {
  Program->finish();
  if (step.dump)
    step.dump->systemInputs(int(step.micros.size()), *step.update);
  addOutputs(step.report, Program->scalars(*step.update));
  if (Stage.lossScale)
    checkScale(step.report);
  checkFinite(step.report.step, step.report);
}

/// A step that was skipped reports no number that came of its gradients. Each takes some of the scale, so that there is an end to them.
void StageRun::checkScale(report::StepReport &report) {
  auto valueOf = [&](const char *name) {
    for (const auto &[known, value] : report.values)
      if (known == name)
        return value;
    throw Failure(Exit::Internal, fmt::format("stage `{}` has a loss scale, but no output `{}`", Stage.name, name));
  };
  if (valueOf("skipped") == 0)
    return;
  auto left = double(float(valueOf("loss_scale")) * float(Stage.lossScale->backoff));
  if (left < 1)
    stop(report.step, fmt::format("a gradient is not finite at a loss scale of {:g}, and less than 1 is left of it", valueOf("loss_scale")), report);
  std::erase_if(report.values, [](const auto &entry) { return !std::isfinite(entry.second) && !isLoss(entry.first); });
  Log.note(fmt::format("stage {}, step {}: skipped, for a gradient is not finite; the loss scale is {:g} now", Stage.name, report.step, left));
}

void StageRun::finishStep(Underway &step) {
  report::StepReport &report = step.report;
  if (step.dump) {
    std::vector<Scalar> values;
    for (const auto &[name, value] : report.values)
      values.push_back({name, value});
    step.dump->outputs(values);
    step.dump->weightsAfter();
    Log.note(fmt::format("step {} written to {}", report.step, step.dump->write(Folder.dump, report.step, Context.world.rank())));
  }
  auto now = std::chrono::steady_clock::now();
  report.seconds = std::chrono::duration<double>(now - std::max(step.start, std::exchange(Finished, now))).count();
  report::Timed timed(Spans.get(), "loop", "report");
  Log.write(report::jsonOf(report));
  int64_t begun = std::exchange(Now.step, report.step + 1); // for whoever asks what is due after this step
  Bar->show(report, isDue(Stage.log));
  Now.step = begun;
}

/// Waits for steps that were begun, all but the newest ones.
void StageRun::finishSteps(size_t left) {
  while (Steps.size() > left) {
    Underway step = std::move(Steps.front());
    Steps.pop_front();
    for (size_t number = 0; number < step.micros.size(); ++number)
      finishMicro(step, int64_t(number));
    finishMicros(step);
    if (step.update)
      finishUpdate(step);
    finishStep(step);
  }
}

/// A device of its own is given a step while it still has the one before, whose losses are read then. Where all of a step is to
/// be written, and on the host, each part is looked at before the next begins.
void StageRun::step(int64_t index, Prefetch *prefetch) {
  Underway step;
  step.start = std::chrono::steady_clock::now();
  step.report.step = index;
  for (const auto &[variant, batch] : Stage.batch)
    if (batch.media && batch.media->tiles)
      step.report.emptyClips = 0;
  if (Context.options.dump.count(index)) {
    finishSteps();
    step.dump = std::make_shared<Dump>(*Program);
    step.dump->weightsBefore();
  }
  bool atOnce = Program->device().isHost() || step.dump;
  int64_t micros = Data ? Data->micros(index) : Stage.accumulate;
  for (int64_t number = 0; number < micros; ++number) {
    micro(step, number, number + 1 == micros, prefetch);
    if (atOnce)
      finishMicro(step, number);
  }
  step.report.dataWait = prefetch ? prefetch->takeWait() : 0;
  if (atOnce)
    finishMicros(step);
  step.update = Stage.find(Function::Role::Update);
  if (step.update)
    Program->begin(*step.update, inputsOf(index, 0));
  if (!atOnce) {
    Steps.push_back(std::move(step));
    return finishSteps(1);
  }
  if (step.update)
    finishUpdate(step);
  finishStep(step);
}

/// Index of the first element that is not finite, -1 where all are.
static int64_t firstNonFinite(const float *values, int64_t count) {
  constexpr int64_t Block = 4096;
  constexpr uint32_t Exponent = 0x7f800000u;
  for (int64_t begin = 0; begin < count; begin += Block) {
    int64_t end = std::min(count, begin + Block);
    uint32_t found = 0;
    for (int64_t i = begin; i < end; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      found |= uint32_t((bits & Exponent) == Exponent);
    }
    if (found)
      for (int64_t i = begin; i < end; ++i)
        if (!std::isfinite(values[i]))
          return i;
  }
  return -1;
}

/// A device of its own keeps its gradients: what is wrong with them shows in the update's reports or the next loss. Where the
/// loss is scaled the update itself looks at them.
void StageRun::checkGradients(int64_t index, const report::StepReport &report) {
  if (!Program->device().isHost() || Stage.lossScale)
    return;
  const auto &states = Stage.states;
  std::atomic<int64_t> first{int64_t(states.size())};
  onThreads(Context.options.threads, [&](int thread, int threads) {
    for (int64_t i = thread; i < int64_t(states.size()) && i < first; i += threads) {
      const State &state = states[size_t(i)];
      if (state.kind != State::Kind::Weight || state.isGroup() || !state.gradient || state.dtype != DType::F32)
        continue;
      if (firstNonFinite(reinterpret_cast<const float *>(Program->gradientOf(state)), elementsOf(state.shape)) < 0)
        continue;
      int64_t known = first;
      while (i < known && !first.compare_exchange_weak(known, i))
        ;
    }
  });
  if (first == int64_t(states.size()))
    return;
  const State &state = states[size_t(first)];
  auto *gradient = reinterpret_cast<const float *>(Program->gradientOf(state));
  int64_t element = firstNonFinite(gradient, elementsOf(state.shape));
  std::string what = fmt::format("the gradient of `{}` is {} at element {}", state.path, gradient[element], element);
  trace(*LastMicro, true);
  stop(index, what, report);
}

void StageRun::checkFinite(int64_t index, const report::StepReport &report) {
  // A term says more than the total, which comes first.
  for (auto it = report.values.rbegin(); it != report.values.rend(); ++it)
    if (!std::isfinite(it->second) && it->first != "loss")
      stop(index, fmt::format("`{}` is {}", it->first, it->second), report);
  for (const auto &[name, value] : report.values)
    if (!std::isfinite(value))
      stop(index, fmt::format("`{}` is {}", name, value), report);
}

void StageRun::stop(int64_t index, const std::string &what, const report::StepReport &report) {
  // All ranks see the same sums, so all are here. What a launch made on one rank, a later one may have brought to the others.
  std::string cause = earliestOf(Context.world, Cause);
  Program->fetchWeights();
  for (const State &state : Stage.states) {
    if (state.kind != State::Kind::Weight || state.isGroup() || state.dtype != DType::F32)
      continue;
    auto *values = reinterpret_cast<const float *>(Program->at(state));
    if (int64_t element = firstNonFinite(values, elementsOf(state.shape)); element >= 0) {
      cause += fmt::format("; the first weight that is not finite is `{}` (element {})", state.path, element);
      break;
    }
  }
  JsonWriter writer;
  writer.beginObject().member("event", "stopped").member("at", index);
  writer.member("reason", std::string_view(what + cause)).endObject();
  Log.write(writer.text());
  Log.sync();
  Bar.reset();
  std::string help = LastSaved < 0 ? std::string("no checkpoint was saved before it; a lower learning rate or a longer warm-up may help")
                                   : fmt::format("the last good checkpoint is `{}`", Saved->pathOf(LastSaved));
  if (Stage.lossScale)
    help += "; fp16 has no numbers beyond 65504, but `precision bf16` has";
  throw Failure(Exit::Policy, fmt::format("stage `{}`, step {}: {}{}", Stage.name, index, what, cause), help);
}

} // namespace vcc::runtime
