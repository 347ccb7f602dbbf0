// SPDX-License-Identifier: Apache-2.0
//
// Evaluation by likelihood over candidate answers: each record once, the candidate with the highest score wins.
#ifndef VCC_RUNTIME_LOOP_EVALUATE_H
#define VCC_RUNTIME_LOOP_EVALUATE_H

#include "runtime/collectives/World.h"
#include "runtime/loop/BatchSource.h"
#include "runtime/loop/StageProgram.h"

#include <map>
#include <string>

namespace vcc::runtime {

struct Accuracy {
  int64_t records = 0, right = 0;
  double chance = 0; // sum over records of 1 / candidates
  double accuracy() const { return records ? double(right) / double(records) : 0; }
  double meanChance() const { return records ? chance / double(records) : 0; }
};

struct EvaluationResult {
  std::string name;
  int64_t step = 0;
  Accuracy all;
  std::map<std::string, Accuracy> groups;
  double seconds = 0;
};

/// Runs one evaluation with the weights as they are, a share of its batches on each rank; all ranks have the result.
/// Throws Failure(Exit::Policy) on a score that is not finite.
EvaluationResult evaluate(StageProgram &program, const manifest::Evaluation &evaluation,
                          EvaluationSource &source, World &world, uint64_t seed, int64_t step);

/// `{"event":"evaluation","name":...,"accuracy":...,"groups":{...}}`.
std::string jsonOf(const EvaluationResult &result);
/// For people: `held: 97.3 % of 512 (chance 25 %); direction 99.0 %, ...`.
std::string textOf(const EvaluationResult &result);

} // namespace vcc::runtime
#endif
