// SPDX-License-Identifier: Apache-2.0
#include "runtime/data/batches/StageBatches.h"

#include "runtime/program/Failure.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

namespace vcc::runtime::data {

StepRule ruleOf(const manifest::Stage &stage) {
  Across across = stage.across == "one_modality"     ? Across::OneModality
                  : stage.across == "every_modality" ? Across::EveryModality
                                                     : Across::Mixed;
  return {stage.accumulate, across, stage.rest == "carry"};
}

static int64_t lengthOf(const manifest::Batch &batch) {
  int64_t length = 0;
  for (const manifest::Field &field : batch.fields)
    length += field.rowTokens();
  return length;
}

/// Clips of a micro-batch whose number is not that of its rows, or 0.
static int64_t clipsOf(const manifest::Batch &batch) { return batch.media && batch.media->tiles ? batch.media->tiles->clips : 0; }

std::vector<Variants> branchesOf(const manifest::Stage &stage) {
  std::map<std::string, Variants> byName;
  for (const auto &[variant, batch] : stage.batch)
    byName[batch.branch].push_back(&batch);
  if (byName.empty())
    throw Failure(Exit::Internal, fmt::format("stage `{}` has no batch", stage.name));
  std::vector<Variants> branches;
  for (auto &[name, variants] : byName) {
    // By clips, of which each costs more than a text, then by texts.
    std::sort(variants.begin(), variants.end(), [](auto *a, auto *b) {
      return std::tuple(clipsOf(*a), lengthOf(*a), a->variant) < std::tuple(clipsOf(*b), lengthOf(*b), b->variant);
    });
    branches.push_back(std::move(variants));
  }
  return branches;
}

} // namespace vcc::runtime::data
