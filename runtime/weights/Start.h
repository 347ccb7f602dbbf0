// SPDX-License-Identifier: Apache-2.0
//
// The `start` rules: where every weight of a stage comes from. What is missing, mis-shaped or asked for by nobody is an
// error that names both sides.
#ifndef VCC_RUNTIME_WEIGHTS_START_H
#define VCC_RUNTIME_WEIGHTS_START_H

#include "runtime/program/Manifest.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vcc::runtime {

struct StartOptions {
  std::string out;     // --out: stages' results lie in <out>/<stage>/
  std::string weights; // --weights: files named by the recipe
  bool trained = true; // false: trained weights come from a checkpoint, only frozen ones are wanted
};

/// Weights of one part of the model that came from one place.
struct Source {
  std::string part;    // the first word of their paths
  std::string from;    // a file (and the dictionary in it), or `init` and by what
  std::string wanted;  // the places that come first in the recipe and are not there
  int64_t weights = 0;
};

/// Where a tensor lies: a file (an index, a folder), the dictionary of it that is meant, its key there.
struct Place {
  std::string file, inside, key;
};

/// What a file of the recipe held and this stage did not take.
struct FileUse {
  std::string file;
  int64_t tensors = 0;
  int64_t leftOut = 0; // by a rule of the recipe
  int64_t unused = 0;  // known to the recipe, but started from elsewhere or used by other stages
};

/// Where a stage's weights came from.
struct Provenance {
  std::vector<Source> sources; // in the order of the stage's weights
  std::vector<FileUse> uses;
  /// Weight path -> what it was read from; absent: as the init function wrote it.
  std::map<std::string, Place> file;
  /// Stage -> identity of its weights file, for the stages that were read from.
  std::map<std::string, std::string> stages;
};

/// The weights file that a stage leaves.
std::string weightsFileOf(const std::string &out, const std::string &stage);

/// Metadata keys of weights files.
inline constexpr const char *IdentityKey = "vcc.identity";
inline constexpr const char *ReferencesKey = "vcc.references";
inline constexpr const char *HashesKey = "vcc.hashes"; // of the tensors in the file

/// Reads every weight with a source other than init into address(state). Throws Failure(Exit::Data).
Provenance startWeights(const manifest::Manifest &manifest, const manifest::Stage &stage,
                        const StartOptions &options,
                        const std::function<std::byte *(const manifest::State &)> &address);

/// What a stage's weights would be read from now, or the sentence that says what is missing; reads no tensor.
std::vector<std::string> missingSources(const manifest::Stage &stage, const StartOptions &options);

/// Identity of a stage's weights file, empty where there is none.
std::string identityOf(const std::string &out, const std::string &stage);

} // namespace vcc::runtime
#endif
