// SPDX-License-Identifier: Apache-2.0
//
// `--profile`: times every launch of some steps, then adds up and writes a trace (trace-event JSON, as Perfetto and Chrome read
// it). Only watches: what a step computes is the same with it.
#ifndef VCC_RUNTIME_LOOP_PROFILER_H
#define VCC_RUNTIME_LOOP_PROFILER_H

#include "runtime/device/Rates.h"
#include "runtime/loop/StageProgram.h"
#include "runtime/report/Profile.h"
#include "runtime/report/Timeline.h"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vcc::runtime {

/// Steps [first, first + count) are measured, `warm` before them are run only.
struct ProfileWindow {
  int64_t first = 0, count = 0, warm = 0;
  /// Three steps warm, unless the run is shorter. Throws Failure(Exit::Usage) where no step is left to run.
  static ProfileWindow of(int64_t step, int64_t target, int64_t wanted, const std::string &stage);
};

class Profiler final : public FunctionObserver {
public:
  /// Measures the machine's rates. All given must outlive it.
  Profiler(const VccProgram &program, const VccStage &table, report::Timeline &timeline, StageDevice &device, int threads, ProfileWindow window);

  void stepBegins(int64_t step);
  /// Whether the last step to be measured has ended now.
  bool stepEnds(int64_t step);
  /// Ends the measurement early, after the step that ended last; whether there is one.
  bool stop();

  LaunchTime *begins(const manifest::Function &function) override;
  void ended(const manifest::Function &function) override;

  /// Throws Failure(Exit::Data) where the file cannot be written.
  void writeTrace(const std::string &path, const std::string &recipe) const;
  report::Profile profile() const;

private:
  struct Walk {
    int64_t function, step;
    int64_t begin, end;
    std::vector<LaunchTime> times;
  };
  struct Description {
    std::string kernel, path, merged, phase;
    double floor;
  };

  Description describe(const VccLaunch &launch) const;
  const std::vector<Description> &descriptions(int64_t function) const;
  void addLaunches(report::Profile &profile, std::map<std::string, report::Work> &phases) const;
  std::string kernelName(VccKernel kernel) const;

  const VccStage &Table;
  const StageDevice &Device;
  report::Timeline &Spans;
  int Threads;
  ProfileWindow Window;
  MachineRates Rates;
  std::map<VccKernel, const char *> KernelNames;
  mutable std::map<int64_t, std::vector<Description>> Known;
  std::deque<Walk> Walks;
  int64_t Begin = 0, End = 0, Step = 0, Done = 0;
};

/// Throws Failure(Exit::Data) that says why this file cannot be written; leaves it as it is.
void checkProfilePath(const std::string &path);

} // namespace vcc::runtime
#endif
