// SPDX-License-Identifier: Apache-2.0
//
// One stage from start to end: weights, steps, checkpoints, evaluations, reports. The order of the parts of a step and
// nothing else; what a step computes is the program's, what it reads is the data path's.
#ifndef VCC_RUNTIME_LOOP_STAGERUN_H
#define VCC_RUNTIME_LOOP_STAGERUN_H

#include "runtime/collectives/World.h"
#include "runtime/loop/BatchSource.h"
#include "runtime/loop/Evaluate.h"
#include "runtime/loop/FolderLock.h"
#include "runtime/loop/Options.h"
#include "runtime/loop/Prefetch.h"
#include "runtime/loop/StageProgram.h"
#include "runtime/loop/Summary.h"
#include "runtime/loop/Trace.h"
#include "runtime/report/Progress.h"
#include "runtime/report/Timeline.h"
#include "runtime/weights/Checkpoint.h"

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vcc::runtime {

class Dump;
class Profiler;

/// Where data comes from; the program uses openBatchSource, openEvaluationSource and openSyntheticSource, tests their own.
struct Sources {
  using Batches = std::function<std::unique_ptr<BatchSource>(const manifest::Manifest &, const manifest::Stage &,
                                                             const DataOptions &, report::Log &)>;
  Batches batches;
  std::function<std::unique_ptr<EvaluationSource>(const manifest::Manifest &, const manifest::Stage &,
                                                  const manifest::Evaluation &, const DataOptions &,
                                                  report::Log &)>
      evaluation;
  Batches synthetic = {}; // for --synthetic
};

/// What all stages of a call share.
struct RunContext {
  const manifest::Manifest &manifest;
  const VccProgram &program;
  const Options &options;
  const Sources &sources;
  World &world;
  const MakeDevice &makeDevice;
};

/// The files of a stage under --out.
struct StageFolder {
  std::string root, log, summary, checkpoints, dump;
  StageFolder(const std::string &out, const std::string &stage);
};

enum class StageEnd { Done, AlreadyDone, Preempted };

class StageRun {
public:
  StageRun(const RunContext &context, const manifest::Stage &stage, const VccStage &table);
  ~StageRun();
  /// Throws where an evaluation would end the run after its stage has trained; of a finished stage nothing is read.
  void checkEvaluations() const;
  /// Trains what is left, evaluates, writes the stage's files. With --synthetic only the log and the summary: nothing was learned.
  StageEnd train();
  /// What is said of a stage of which train() finds nothing left to do.
  std::string toldBefore() const;
  /// Evaluates with the newest checkpoint; writes <out>/<stage>/evaluation-<name>.json.
  void evaluateOnly(const std::string &name);

private:
  /// A step that was begun: what is known of it, and what it ran.
  struct Underway {
    report::StepReport report;
    std::chrono::steady_clock::time_point start;
    std::shared_ptr<Dump> dump; // of the steps that are written
    std::vector<const manifest::Function *> micros;
    const manifest::Function *update = nullptr;
    std::map<std::string, int64_t> times; // micro-batches that put out a number
  };
  bool isComplete() const;
  std::optional<StageSummary> finished() const;
  int stopSignal();
  void lock();
  void checkStages(const std::map<std::string, std::string> &recorded) const;
  void begin();
  std::optional<Progress> agreed(std::optional<Progress> found) const;
  void goOnFrom(const Progress &found);
  void restore(const Progress &progress);
  void openData();
  void checkContent();
  void checkRange() const;
  void discardOld();
  void tellSources();
  void tellUnfinishedSources();
  bool loop();
  void startProfile();
  void tellProfile();
  void step(int64_t index, Prefetch *prefetch);
  void micro(Underway &step, int64_t number, bool isLast, Prefetch *prefetch);
  void finishMicro(Underway &step, int64_t number);
  void finishMicros(Underway &step);
  void finishUpdate(Underway &step);
  void finishStep(Underway &step);
  void finishSteps(size_t left = 0);
  const Slot &taken(Prefetch &prefetch);
  void trace(const manifest::Function &function, bool wanted);
  void checkScale(report::StepReport &report);
  void checkFinite(int64_t index, const report::StepReport &report);
  void checkGradients(int64_t index, const report::StepReport &report);
  [[noreturn]] void stop(int64_t index, const std::string &what, const report::StepReport &report);
  void save();
  void evaluateDue(bool atEnd);
  EvaluationResult evaluateOne(const manifest::Evaluation &evaluation);
  void finish();
  void writeResults(const std::string &frozen, const Address &address);
  /// `firstSample`: this rank's first place in the step.
  StepInputs inputsOf(int64_t index, int64_t firstSample) const;
  const manifest::Function &functionOf(const std::string &variant) const;
  int64_t stepAt(double epochs) const;
  bool isDue(const manifest::When &when) const;
  DataOptions dataOptions() const;
  StagePlace placeOf() const;

  const RunContext &Context;
  const manifest::Stage &Stage;
  const VccStage &Table;
  StageFolder Folder;
  std::unique_ptr<FolderLock> Lock; // on the first rank; before all that writes there
  report::Log Log;
  uint64_t Seed;
  std::unique_ptr<report::Timeline> Spans; // where there is a profile; before all that writes to it
  std::unique_ptr<StageProgram> Program;
  std::unique_ptr<Checkpoints> Saved;
  std::unique_ptr<BatchSource> Data;
  std::unique_ptr<report::Progress> Bar;
  std::unique_ptr<Profiler> Profile;
  std::string ProfilePath;
  Provenance Origin;
  Progress Now;
  NotFinite Cause; // where a number that is not finite arose, on this rank
  const manifest::Function *LastMicro = nullptr;
  std::deque<Underway> Steps; // begun on a device of its own, and not finished
  std::chrono::steady_clock::time_point Finished; // the last one
  int64_t Target = 0, Total = 0, LastSaved = -1;
  double StepsPerEpoch = 1;
};


} // namespace vcc::runtime
#endif
