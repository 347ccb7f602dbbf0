// SPDX-License-Identifier: Apache-2.0
//
// What a profile found, added up: by phase, by the recipe's paths with list indices merged, by kernel; as tables for people and
// as JSON. Times are seconds over all profiled steps.
#ifndef VCC_RUNTIME_REPORT_PROFILE_H
#define VCC_RUNTIME_REPORT_PROFILE_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vcc::runtime {
class JsonWriter;
}

namespace vcc::runtime::report {

struct Work {
  int64_t launches = 0;
  double seconds = 0;
  double least = 0; // each launch counted with its fastest time over the steps: what other processes did not disturb
  double floor = 0; // the least time possible at the measured rates
  double flops = 0, bytes = 0;

  void add(const Work &other);
};

struct Profile {
  std::string stage;
  int64_t firstStep = 0, steps = 0, warm = 0;
  int threads = 1;
  double seconds = 0;                                   // of the profiled steps together
  double flopRate = 0, byteRate = 0, forkSeconds = 0;   // measured
  std::string rateSource;                               // of rates that were not measured; these may be 0
  std::vector<std::pair<std::string, Work>> phases;     // their seconds add up to `seconds`
  std::map<std::string, Work> paths;                    // by merged path of the part
  std::map<std::string, std::map<std::string, Work>> byPhase; // path -> phase
  std::map<std::string, Work> kernels;
  std::map<std::string, std::string> kernelPath;        // where a kernel is launched from, most of its time
};

/// `lm.model.layers[3].mlp` -> `lm.model.layers[*].mlp`.
std::string mergedPath(const std::string &path);

std::string textOf(const Profile &profile);
void writeJson(JsonWriter &writer, const Profile &profile);

} // namespace vcc::runtime::report
#endif
