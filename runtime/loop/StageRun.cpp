// SPDX-License-Identifier: Apache-2.0
//
// The stage's course: begin, loop, finish. The single step is in Step.cpp.
#include "runtime/loop/StageRun.h"

#include "runtime/device/cpu/Features.h"
#include "runtime/loop/Profiler.h"
#include "runtime/loop/Ranks.h"
#include "runtime/loop/Signals.h"
#include "runtime/loop/Summary.h"
#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"
#include "runtime/program/Suggest.h"
#include "runtime/report/History.h"
#include "runtime/weights/Files.h"
#include "runtime/weights/Synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace vcc::runtime {

namespace fs = std::filesystem;
using manifest::Function;

StageFolder::StageFolder(const std::string &out, const std::string &stage)
    : root((fs::path(out) / stage).string()), log(root + "/log.jsonl"),
      summary(root + "/summary.json"), checkpoints(root + "/checkpoints"), dump(root + "/dump") {}

StageRun::StageRun(const RunContext &context, const manifest::Stage &stage, const VccStage &table)
    : Context(context), Stage(stage), Table(table),
      Folder(context.options.out, stage.name + (context.options.synthetic ? ".synthetic" : "")),
      Seed(context.options.seed.value_or(stage.seed)) {}

StageRun::~StageRun() { Bar.reset(); }

void StageRun::lock() {
  if (!Context.world.isFirst())
    return Log.mute();
  Lock = std::make_unique<FolderLock>(Folder.root);
}

/// Weights that a stage started from must still be the ones that lie there.
void StageRun::checkStages(const std::map<std::string, std::string> &recorded) const {
  for (const auto &[name, identity] : recorded)
    if (identityOf(Context.options.out, name) != identity)
      throw Failure(Exit::Data,
                    fmt::format("stage `{}` was started from other weights of stage `{}` than those in `{}`",
                                Stage.name, name, weightsFileOf(Context.options.out, name)),
                    "train it anew with `--resume never`, or use another --out");
}

bool StageRun::isComplete() const {
  bool complete = false;
  if (Context.world.isFirst())
    if (auto summary = finished()) {
      checkStages(summary->stages);
      complete = true;
    }
  Context.world.broadcast(&complete, sizeof complete);
  return complete;
}

/// The summary of a stage that lies there as it is wanted.
std::optional<StageSummary> StageRun::finished() const {
  if (!Context.options.resume || !Context.options.dump.empty() || Context.options.synthetic)
    return std::nullopt;
  auto summary = readSummary(Folder.summary);
  if (!summary || summary->program != Stage.identity || summary->seed != Seed)
    return std::nullopt;
  int64_t target = std::min(summary->total, Context.options.maxSteps.value_or(summary->total));
  if (summary->steps < target || !exists(weightsFileOf(Context.options.out, Stage.name)))
    return std::nullopt;
  return summary;
}

std::string StageRun::toldBefore() const {
  auto summary = readSummary(Folder.summary);
  if (!summary)
    return {};
  std::string text = summary->steps < summary->total
                         ? fmt::format("stopped before, after {} of {} steps, and --max-steps asks for no more", summary->steps, summary->total)
                         : "done before";
  std::string lacking;
  for (const manifest::Evaluation &evaluation : Stage.evaluations)
    if (!summary->evaluations.count(evaluation.name))
      lacking = lacking.empty() ? evaluation.name : "all";
  return lacking.empty() ? text : fmt::format("{}, but not all its evaluations: `--stage {} --evaluate {}`", text, Stage.name, lacking);
}

void StageRun::checkEvaluations() const {
  if (Context.options.synthetic || !Context.world.isFirst() || finished())
    return;
  report::Log silent;
  for (const manifest::Evaluation &evaluation : Stage.evaluations)
    try {
      Context.sources.evaluation(Context.manifest, Stage, evaluation, dataOptions(), silent)->check();
    } catch (const Failure &failure) {
      throw Failure(failure.code(), fmt::format("evaluation `{}` of stage `{}`: {}", evaluation.name, Stage.name, failure.what()),
                    failure.help());
    }
}

DataOptions StageRun::dataOptions() const {
  return {Context.options.data, Seed, Context.world.rank(), Context.world.size(),
          Context.options.workers, Spans.get()};
}

StagePlace StageRun::placeOf() const {
  const Options &options = Context.options;
  return {Table, Stage, options.threads, &Context.world, options.cudaLibraries, options.measureProducts};
}

/// Steps that are over when `epochs` epochs are. Without data every step is an epoch.
int64_t StageRun::stepAt(double epochs) const { return Data ? Data->stepAt(epochs) : std::llround(epochs); }

/// Whether it is time, after `Now.step` steps.
bool StageRun::isDue(const manifest::When &when) const {
  if (when.steps)
    return Now.step % when.steps == 0;
  if (!(when.epochs > 0))
    return false;
  // The n-th time is at the step that ends n * epochs; n is near the share of the training that is over.
  int64_t near = std::llround(double(Now.step) / StepsPerEpoch / when.epochs);
  for (int64_t n = std::max<int64_t>(1, near - 2); n <= near + 2; ++n)
    if (stepAt(double(n) * when.epochs) == Now.step)
      return true;
  return false;
}

void StageRun::openData() {
  bool reads = std::any_of(Stage.functions.begin(), Stage.functions.end(), [&](const Function &function) {
    return function.role == Function::Role::Micro && !Program->dataInputs(function).empty();
  });
  if (reads) {
    const auto &open = Context.options.synthetic ? Context.sources.synthetic : Context.sources.batches;
    Data = open(Context.manifest, Stage, dataOptions(), Log);
    if (Data->samples() < 1)
      throw Failure(Exit::Data, fmt::format("stage `{}` has no samples", Stage.name));
    constexpr int64_t Many = 1 << 20; // under `carry` epochs differ by a step
    StepsPerEpoch = double(Data->stepAt(double(Many))) / double(Many);
    checkContent();
    Data->noteUnusable(Now.unusable);
  }
  Total = Stage.steps ? Stage.steps : std::max<int64_t>(1, stepAt(Stage.epochs));
  Target = std::min(Total, Context.options.maxSteps.value_or(Total));
}

/// Other records in the files would be other samples in another order, and nobody would see where the run changed.
void StageRun::checkContent() {
  auto content = Data->content();
  for (const auto &[file, known] : Now.content)
    if (auto it = content.find(file); Now.step > 0 && it != content.end() && it->second != known && !Context.options.changedData)
      throw Failure(Exit::Data,
                    fmt::format("`{}` has changed since checkpoint `{}` was made: it has {}, and had {}",
                                (fs::path(Context.options.data) / file).string(), Saved->pathOf(Now.step), it->second, known),
                    "restore the file; or go on with what it holds now by `--resume changed-data`, or train anew with `--resume never`");
  Now.content = std::move(content);
}

/// Every rank reads the checkpoint itself, and it must be the same one.
std::optional<Progress> StageRun::agreed(std::optional<Progress> found) const {
  int64_t mine = found ? found->step : -1, first = mine;
  Context.world.broadcast(&first, sizeof first);
  if (firstOf(Context.world, mine == first ? "" : "differs").empty())
    return found;
  throw Failure(Exit::Data, fmt::format("the ranks see different checkpoints in `{}`", Folder.checkpoints),
                "--out must be on a disk that all ranks share");
}

/// Brings weights and moments to where training goes on from: init, then sources, then the newest checkpoint.
void StageRun::begin() {
  Program = std::make_unique<StageProgram>(placeOf(), Context.makeDevice);
  auto address = [this](const manifest::State &state) { return Program->at(state); };
  Saved = std::make_unique<Checkpoints>(Stage, Folder.checkpoints, address);
  std::optional<Progress> found;
  if (Context.options.resume && !Context.options.synthetic)
    found = agreed(Saved->newest(Log));
  if (const Function *init = Stage.find(Function::Role::Init))
    Program->run(*init, {Seed, 0, 0, 1, 1});
  Program->fetchInitialised();
  Origin = Context.options.synthetic
               ? syntheticWeights(Stage, Seed, Context.options.threads, address)
               : startWeights(Context.manifest, Stage, {Context.options.out, Context.options.weights, !found.has_value()}, address);
  Now.seed = Seed, Now.ranks = Context.world.size(), Now.program = Stage.identity;
  Now.frozen = fingerprintOfFrozen(Stage, address);
  Now.stages = Origin.stages;
  if (found)
    goOnFrom(*found);
  Program->publishWeights();
}

void StageRun::goOnFrom(const Progress &found) {
  if (found.ranks != Now.ranks)
    throw Failure(Exit::Usage,
                  fmt::format("checkpoint `{}` was made by {} rank{}, but {} {} started", Saved->pathOf(found.step), found.ranks,
                              found.ranks == 1 ? "" : "s", Now.ranks, Now.ranks == 1 ? "was" : "were"),
                  fmt::format("go on {}, or train anew with `--resume never`",
                              found.ranks == 1 ? std::string("with one") : fmt::format("by `mpirun -n {}`", found.ranks)));
  restore(found);
}

/// What the stage left before, and the run now replaces. Called when all that the run needs has been found.
void StageRun::discardOld() {
  Context.world.barrier(); // all have read what they need
  if (!Context.world.isFirst())
    return;
  if (!Context.options.resume || Context.options.synthetic)
    Saved->removeAll(); // before the log, whose length a checkpoint relies on
  Log.open(Folder.log, Now.logBytes);
  removeFile(Folder.summary);
  if (!Context.options.synthetic)
    removeFile(weightsFileOf(Context.options.out, Stage.name));
}

void StageRun::restore(const Progress &progress) {
  std::string path = Saved->pathOf(progress.step);
  const char *help = "train anew with `--resume never`, or use another --out";
  if (progress.program != Stage.identity)
    throw Failure(Exit::Data, fmt::format("checkpoint `{}` was made by another compilation of the recipe", path),
                  fmt::format("what decides on the weights of stage `{}` must be the same (evaluations, `save`, `log`, `on_error` and other stages may differ), "
                              "and so must vcc and the CPU; {}",
                              Stage.name, help));
  if (progress.seed != Seed)
    throw Failure(Exit::Usage, fmt::format("checkpoint `{}` has seed {}, but this run has {}", path, progress.seed, Seed), help);
  checkStages(progress.stages);
  if (progress.frozen != Now.frozen)
    throw Failure(Exit::Data, fmt::format("the frozen weights are not those of checkpoint `{}`", path), help);
  Saved->load(progress);
  Now = progress;
  LastSaved = progress.step;
}

static std::string jsonOfStart(const Progress &now, int64_t target, int threads, bool resumed) {
  JsonWriter writer;
  writer.beginObject().member("event", resumed ? "resume" : "start").member("at", now.step);
  writer.member("target", target).member("seed", now.seed).member("threads", threads).member("ranks", now.ranks);
  writer.member("cpu", std::string_view(cpuName()));
  writer.member("frozen", std::string_view(now.frozen));
  return writer.endObject().text();
}

/// Names the stages that gave weights although their training has not come to its end.
void StageRun::tellUnfinishedSources() {
  for (const auto &[name, identity] : Origin.stages)
    if (auto summary = readSummary(StageFolder(Context.options.out, name).summary); summary && summary->steps < summary->total)
      Log.note(fmt::format("warning: stage {} starts from stage {}, which was stopped after {} of {} steps", Stage.name, name,
                           summary->steps, summary->total));
}

/// Says where each part's weights came from: a recipe may name several places, of which the first that is there counts.
void StageRun::tellSources() {
  for (const Source &source : Origin.sources) {
    std::string wanted = source.wanted.empty() ? std::string() : fmt::format(", for want of {}", source.wanted);
    Log.note(fmt::format("{}: {} weight{} from {}{}", source.part, source.weights, source.weights == 1 ? "" : "s",
                         source.from, wanted));
    JsonWriter writer;
    writer.beginObject().member("event", "source").member("part", std::string_view(source.part));
    writer.member("weights", source.weights).member("from", std::string_view(source.from));
    if (!source.wanted.empty())
      writer.member("wanted", std::string_view(source.wanted));
    Log.write(writer.endObject().text());
  }
  for (const FileUse &use : Origin.uses)
    if (use.leftOut || use.unused)
      Log.note(fmt::format("{}: {} of {} tensors left out by `rename`, {} not used by this stage", use.file, use.leftOut, use.tensors,
                           use.unused));
  tellUnfinishedSources();
}

StageEnd StageRun::train() {
  lock();
  if (Context.options.profile && Context.world.isFirst()) {
    Spans = std::make_unique<report::Timeline>();
    ProfilePath = Context.options.profileFile.empty() ? Folder.root + "/profile.json" : Context.options.profileFile;
    checkProfilePath(ProfilePath);
  }
  if (isComplete())
    return StageEnd::AlreadyDone;
  begin();
  openData();
  listenForSignals();
  checkRange();
  if (Spans)
    startProfile();
  discardOld();
  Log.write(jsonOfStart(Now, Target, Context.options.threads, Now.step > 0));
  Log.note(fmt::format("stage {}: {} of {} steps to do, {:.1f} MB, frozen weights {}", Stage.name,
                       Target - Now.step, Total, double(Program->device().bytes()) / 1e6, Now.frozen));
  for (const std::string &line : Program->device().account())
    Log.note(line);
  if (std::string account = Data ? Data->account() : ""; !account.empty())
    Log.note(fmt::format("stage {}: {}", Stage.name, account));
  tellSources();
  if (!loop())
    return StageEnd::Preempted;
  finish();
  return StageEnd::Done;
}

void StageRun::checkRange() const {
  if (Now.step > Target)
    throw Failure(Exit::Usage, fmt::format("stage `{}` has a checkpoint at step {}, beyond --max-steps {}",
                                           Stage.name, Now.step, Target));
  for (int64_t index : Context.options.dump)
    if (index < Now.step || index >= Target)
      throw Failure(Exit::Usage, fmt::format("--dump {}: stage `{}` is to run steps {} to {}", index, Stage.name,
                                             Now.step, Target - 1),
                    "another --out, or `--resume never`, trains from step 0");
}

void StageRun::startProfile() {
  ProfileWindow window = ProfileWindow::of(Now.step, Target, Context.options.profileSteps, Stage.name);
  Profile = std::make_unique<Profiler>(Context.program, Table, *Spans, Program->device(), Context.options.threads, window);
  Program->observe(Profile.get());
}

void StageRun::tellProfile() {
  Log.note(report::textOf(Profile->profile()));
  try {
    Profile->writeTrace(ProfilePath, Context.manifest.recipe);
    Log.note(fmt::format("a trace for Perfetto or Chrome: {}", ProfilePath));
  } catch (const Failure &failure) { // a full disk is no reason to stop training
    Log.note(fmt::format("warning: no trace was written: {}", failure.what()));
  }
}

bool StageRun::loop() {
  std::unique_ptr<Prefetch> prefetch;
  if (Data && Now.step < Target)
    prefetch = std::make_unique<Prefetch>(
        *Data, [this](const std::string &variant) { return Program->dataInputs(functionOf(variant)); }, Now.step, Target,
        Spans.get());
  Bar = std::make_unique<report::Progress>(Log, Stage.name, Target);
  while (Now.step < Target) {
    if (Profile)
      Profile->stepBegins(Now.step);
    {
      report::Timed timed(Spans.get(), "loop", "step", Now.step);
      step(Now.step, prefetch.get());
      ++Now.step;
      evaluateDue(false);
      if (isDue(Stage.save) && Now.step < Target)
        save();
    }
    if (Profile && Profile->stepEnds(Now.step - 1))
      tellProfile();
    if (int signal = stopSignal(); signal && Now.step < Target) {
      if (LastSaved != Now.step)
        save();
      Bar.reset();
      if (Profile && Profile->stop())
        tellProfile();
      Log.note(Context.options.synthetic
                   ? fmt::format("signal {}: stopped after step {}", signal, Now.step)
                   : fmt::format("signal {}: saved `{}` after step {}; run again to go on", signal, Saved->pathOf(Now.step), Now.step));
      return false;
    }
  }
  finishSteps();
  Bar.reset();
  return true;
}

/// A signal that any rank was sent stops all after the same step.
int StageRun::stopSignal() {
  int signal = signalReceived();
  if (Context.world.size() == 1)
    return signal;
  std::vector<int> all(size_t(Context.world.size()));
  Context.world.gather(&signal, all.data(), sizeof signal);
  return *std::max_element(all.begin(), all.end());
}

void StageRun::save() {
  finishSteps();
  if (Context.options.synthetic)
    return;
  report::Timed timed(Spans.get(), "loop", "save");
  Now.logBytes = Log.sync();
  if (Data)
    Now.unusable = Data->unusable();
  Program->fetchTrained();
  if (Context.world.isFirst())
    Saved->save(Now);
  LastSaved = Now.step;
}

EvaluationResult StageRun::evaluateOne(const manifest::Evaluation &evaluation) {
  report::Timed timed(Spans.get(), "loop", "evaluate");
  auto source = Context.sources.evaluation(Context.manifest, Stage, evaluation, dataOptions(), Log);
  return evaluate(*Program, evaluation, *source, Context.world, Seed, Now.step);
}

void StageRun::evaluateDue(bool atEnd) {
  if (Context.options.synthetic)
    return;
  for (const manifest::Evaluation &evaluation : Stage.evaluations) {
    bool due = atEnd || (isDue(evaluation.when) && Now.step < Target);
    if (!due)
      continue;
    finishSteps();
    EvaluationResult result = evaluateOne(evaluation);
    Log.note(textOf(result));
    Log.write(jsonOf(result));
  }
}

void StageRun::finish() {
  auto address = [this](const manifest::State &state) { return Program->at(state); };
  if (LastSaved != Now.step)
    save();
  evaluateDue(true);
  Program->fetchWeights();
  std::string frozen = fingerprintOfFrozen(Stage, address);
  if (frozen != Now.frozen)
    throw Failure(Exit::Internal, fmt::format("frozen weights changed from {} to {}", Now.frozen, frozen));
  if (Context.world.isFirst())
    writeResults(frozen, address);
  Context.world.barrier(); // what the next stage starts from lies there
}

/// The stage's own files, by the first rank.
void StageRun::writeResults(const std::string &frozen, const Address &address) {
  JsonWriter end;
  end.beginObject().member("event", "end").member("at", Now.step);
  end.member("frozen", std::string_view(frozen)).endObject();
  Log.write(end.text());
  Log.sync();
  bool learned = !Context.options.synthetic;
  std::string weights = learned ? saveWeights(Stage, Context.options.out, Origin, Now, address) : std::string();
  StageSummary summary;
  summary.program = Stage.identity, summary.seed = Seed;
  summary.steps = Now.step, summary.total = Total;
  summary.stages = Now.stages;
  summary.frozenBefore = Now.frozen, summary.frozenAfter = frozen;
  summary.threads = Context.options.threads, summary.ranks = Context.world.size();
  summary.memoryBytes = Program->device().bytes(), summary.packedBytes = Program->device().packedBytes();
  summary.checkpoint = learned ? Saved->pathOf(Now.step) : std::string(), summary.weights = weights, summary.log = Folder.log;
  writeSummary(Folder.summary, Context.manifest.recipe, Stage, summary, report::readHistory(Folder.log));
  std::string outcome = Now.step < Total ? fmt::format("stopped after {} of {} steps", Now.step, Total) : "done";
  Log.note(fmt::format("stage {}: {}, frozen weights {} as before, {}", Stage.name, outcome, frozen,
                       learned ? weights : "synthetic: nothing is kept but " + Folder.summary));
}

void StageRun::evaluateOnly(const std::string &name) {
  lock();
  Program = std::make_unique<StageProgram>(placeOf(), Context.makeDevice);
  auto address = [this](const manifest::State &state) { return Program->at(state); };
  Saved = std::make_unique<Checkpoints>(Stage, Folder.checkpoints, address);
  auto found = agreed(Saved->newest(Log));
  if (!found)
    throw Failure(Exit::Data, fmt::format("stage `{}` has no checkpoint in `{}`", Stage.name, Folder.checkpoints),
                  fmt::format("train it by `--stage {}`", Stage.name));
  Seed = found->seed;
  if (const Function *init = Stage.find(Function::Role::Init))
    Program->run(*init, {Seed, 0, 0, 1, 1});
  Program->fetchInitialised();
  Origin = startWeights(Context.manifest, Stage, {Context.options.out, Context.options.weights, false}, address);
  Now.frozen = fingerprintOfFrozen(Stage, address);
  restore(*found);
  Program->publishWeights();
  for (const manifest::Evaluation &evaluation : Stage.evaluations) {
    if (name != "all" && name != evaluation.name)
      continue;
    EvaluationResult result = evaluateOne(evaluation);
    Log.note(textOf(result));
    if (Context.world.isFirst())
      writeWhole(Folder.root + "/evaluation-" + evaluation.name + ".json", jsonOf(result) + "\n");
  }
}

} // namespace vcc::runtime
