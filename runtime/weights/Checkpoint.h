// SPDX-License-Identifier: Apache-2.0
//
// What a stage leaves on the disk: checkpoints to resume from, and the weights file that later stages start from. Both
// are complete or not there: written beside, checksummed, brought to the disk, marked DONE, renamed.
#ifndef VCC_RUNTIME_WEIGHTS_CHECKPOINT_H
#define VCC_RUNTIME_WEIGHTS_CHECKPOINT_H

#include "runtime/program/Manifest.h"
#include "runtime/report/Log.h"
#include "runtime/weights/Start.h"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vcc::runtime {

/// The state of a run between two steps, apart from the tensors.
struct Progress {
  int64_t step = 0;       // optimizer steps done
  uint64_t seed = 0;
  int ranks = 1;
  int64_t logBytes = 0;   // length of the log when the checkpoint was made
  std::string program;    // identity of what the stage trains, how, and by which runtime
  std::string frozen;     // fingerprint of the frozen weights
  std::map<std::string, std::string> stages; // identity of the weights that the stage started from
  std::map<std::string, std::string> content; // of the files that samples are made of: BatchSource::content()
  std::map<std::string, std::vector<int64_t>> unusable; // records that could not be read so far, by dataset
};

using Address = std::function<std::byte *(const manifest::State &)>;

class Checkpoints {
public:
  /// `folder` is <out>/<stage>/checkpoints. What an interrupted save left is removed.
  Checkpoints(const manifest::Stage &stage, std::string folder, Address address);

  /// Saves trained weights, moments and counters; afterwards only the newest `keep` remain, and none of those that
  /// newest() has passed over.
  std::string save(const Progress &progress);
  /// The newest complete checkpoint, without its tensors; damaged ones are named in the log and passed over.
  std::optional<Progress> newest(report::Log &log);
  /// Reads the tensors of a checkpoint that newest() has returned.
  void load(const Progress &progress);
  std::string pathOf(int64_t step) const;
  void removeAll();

private:
  std::vector<int64_t> steps() const;
  Progress verify(int64_t step) const;
  void prune(int64_t step);
  const manifest::Stage &Stage;
  std::string Folder;
  Address At;
  std::vector<int64_t> Damaged;
};

/// One hash over all frozen weights, in the manifest's order.
std::string fingerprintOfFrozen(const manifest::Stage &stage, const Address &address);

/// Writes <out>/<stage>/weights.safetensors: what trained, and frozen weights that no file holds; other frozen weights
/// as references (file and hash).
std::string saveWeights(const manifest::Stage &stage, const std::string &out,
                        const Provenance &provenance, const Progress &progress,
                        const Address &address);

} // namespace vcc::runtime
#endif
