// SPDX-License-Identifier: Apache-2.0
//
// What the compiler is told of data before there is a program: whether the records of a recipe's evaluations are what their
// clauses say, by the same reading as in training.
#ifndef VCC_RUNTIME_DATA_EVALUATIONCHECK_H
#define VCC_RUNTIME_DATA_EVALUATIONCHECK_H

#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime::data {

struct EvaluationFault {
  std::string stage, evaluation, message, help;
  bool ofMachine = false; // that lacks a library, so that nothing was looked at
};

/// `manifest` may lack whatever is known after scheduling; `dir` is the folder of the data.
std::vector<EvaluationFault> checkEvaluations(std::string_view manifest, const std::string &dir);

} // namespace vcc::runtime::data
#endif
