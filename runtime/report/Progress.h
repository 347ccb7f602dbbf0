// SPDX-License-Identifier: Apache-2.0
//
// What a person sees while a stage trains: a bar on a terminal, plain lines elsewhere.
#ifndef VCC_RUNTIME_REPORT_PROGRESS_H
#define VCC_RUNTIME_REPORT_PROGRESS_H

#include "runtime/report/Log.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vcc::runtime::report {

struct StepReport {
  int64_t step = 0; // from 0
  std::vector<std::pair<std::string, double>> values; // losses, lr, grad_norm, ...
  double seconds = 0, dataWait = 0;
  std::vector<std::string> variants; // of the micro-batches in order, where the stage has several
  int64_t samples = 0, tokens = 0, supervised = 0;
  std::optional<int64_t> emptyClips; // where the stage has clips in tiles
  std::vector<std::pair<std::string, std::string>> replaced; // sample, reason
};

/// One line of the log.
std::string jsonOf(const StepReport &report);

class Progress {
public:
  Progress(Log &log, std::string stage, int64_t target);
  ~Progress();
  /// `due`: a line is to be written where there is no terminal.
  void show(const StepReport &report, bool due);

private:
  std::string textOf(const StepReport &report) const;
  Log &Out;
  std::string Stage;
  int64_t Target;
  bool Terminal;
  double Seconds = 0, Wait = 0, LastShown = -1;
  int64_t Tokens = 0, Steps = 0;
};

/// `2:05` or `1:02:05`.
std::string textOfDuration(double seconds);

} // namespace vcc::runtime::report
#endif
