// SPDX-License-Identifier: Apache-2.0
#include "runtime/data/EvaluationCheck.h"

#include "runtime/loop/BatchSource.h"
#include "runtime/program/Failure.h"
#include "runtime/program/ManifestData.h"

namespace vcc::runtime::data {

std::vector<EvaluationFault> checkEvaluations(std::string_view json, const std::string &dir) {
  std::vector<EvaluationFault> faults;
  manifest::Manifest manifest = manifest::parseDataOf(json);
  DataOptions options;
  options.dir = dir, options.workers = 1;
  report::Log silent;
  for (const manifest::Stage &stage : manifest.stages)
    for (const manifest::Evaluation &evaluation : stage.evaluations)
      try {
        openEvaluationSource(manifest, stage, evaluation, options, silent)->check();
      } catch (const Failure &failure) {
        faults.push_back({stage.name, evaluation.name, failure.what(), failure.help(), failure.code() == Exit::Machine});
      }
  return faults;
}

} // namespace vcc::runtime::data
