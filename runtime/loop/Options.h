// SPDX-License-Identifier: Apache-2.0
//
// The command line of train.bin.
#ifndef VCC_RUNTIME_LOOP_OPTIONS_H
#define VCC_RUNTIME_LOOP_OPTIONS_H

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vcc::runtime {

struct Options {
  enum class Action { Overview, Train, Evaluate, Manifest, Version, Help };
  Action action = Action::Overview;
  std::string stage;      // number, name or "all"; empty: not given
  std::string evaluation; // name or "all"
  std::string data = ".", weights = ".", out = "out";
  std::optional<int64_t> maxSteps;
  std::optional<uint64_t> seed;
  bool resume = true;
  bool changedData = false; // what samples are made of may be other than before
  int threads = 0; // 0: as many as this process may use
  int workers = 2;
  std::set<int64_t> dump;
  bool synthetic = false; // weights and batches are drawn, nothing is read
  bool profile = false;
  std::string profileFile; // empty: profile.json in the stage's folder
  int64_t profileSteps = 10;
  std::string cudaLibraries; // folder; empty: found
  bool measureProducts = false;
};

/// Throws Failure(Exit::Usage) with the option that was probably meant.
Options parseOptions(const std::vector<std::string> &arguments);

std::string helpText(const std::string &program);

} // namespace vcc::runtime
#endif
