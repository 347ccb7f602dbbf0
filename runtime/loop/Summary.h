// SPDX-License-Identifier: Apache-2.0
//
// summary.json of a stage: written last, so that its presence says that the stage is finished.
#ifndef VCC_RUNTIME_LOOP_SUMMARY_H
#define VCC_RUNTIME_LOOP_SUMMARY_H

#include "runtime/program/Manifest.h"
#include "runtime/report/History.h"

#include <map>
#include <optional>
#include <set>
#include <string>

namespace vcc::runtime {

struct StageSummary {
  std::string program;
  uint64_t seed = 0;
  int64_t steps = 0, total = 0;
  std::map<std::string, std::string> stages; // identity of the stages it started from
  std::set<std::string> evaluations;         // that have a result; read only
  std::string frozenBefore, frozenAfter;
  int threads = 1, ranks = 1;
  uint64_t memoryBytes = 0, packedBytes = 0;
  std::string checkpoint, weights, log;
};

void writeSummary(const std::string &path, const std::string &recipe, const manifest::Stage &stage,
                  const StageSummary &summary, const report::History &history);

/// What decides whether a stage is finished; nothing where there is no (readable) summary.
std::optional<StageSummary> readSummary(const std::string &path);

} // namespace vcc::runtime
#endif
