// SPDX-License-Identifier: Apache-2.0
//
// A stage's log read back: the one record that survives kills and resumes, from which summaries and pages are made.
#ifndef VCC_RUNTIME_REPORT_HISTORY_H
#define VCC_RUNTIME_REPORT_HISTORY_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vcc::runtime::report {

struct History {
  std::vector<int64_t> steps;
  std::map<std::string, std::vector<double>> values; // by name, one per step; NaN where a step lacks it
  double seconds = 0, dataWait = 0;
  int64_t samples = 0, tokens = 0, replaced = 0;
  std::vector<std::string> evaluations; // JSON objects, in order

  bool empty() const { return steps.empty(); }
  double first(const std::string &name) const;
  /// Mean of the last tenth of the steps, at most ten of them.
  double last(const std::string &name) const;
};

/// Throws Failure(Exit::Data) where the log is not ours; a missing file is an empty history.
History readHistory(const std::string &path);

/// One self-contained HTML page with the curves of the stages given (name, history).
void writePage(const std::string &path, const std::string &title,
               const std::vector<std::pair<std::string, History>> &stages);

} // namespace vcc::runtime::report
#endif
