// SPDX-License-Identifier: Apache-2.0
//
// What a stage's manifest says of its micro-batches: the rule of its steps, its branches and the
// variants of each.
#ifndef VCC_RUNTIME_DATA_BATCHES_STAGEBATCHES_H
#define VCC_RUNTIME_DATA_BATCHES_STAGEBATCHES_H

#include "runtime/data/batches/StepOrder.h"
#include "runtime/program/Manifest.h"

namespace vcc::runtime::data {

/// How many micro-batches of which branches make up a step.
StepRule ruleOf(const manifest::Stage &stage);

/// The variants of a branch, the cheapest first.
using Variants = std::vector<const manifest::Batch *>;

/// The branches of the stage's batch in the order of their names. Throws Failure(Exit::Internal) where there is none.
std::vector<Variants> branchesOf(const manifest::Stage &stage);

} // namespace vcc::runtime::data
#endif
