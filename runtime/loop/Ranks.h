// SPDX-License-Identifier: Apache-2.0
//
// What several ranks agree on: how many may run, and one step's sums.
#ifndef VCC_RUNTIME_LOOP_RANKS_H
#define VCC_RUNTIME_LOOP_RANKS_H

#include "runtime/collectives/World.h"
#include "runtime/loop/StageProgram.h"
#include "runtime/loop/Trace.h"
#include "runtime/report/Progress.h"

#include <string>

namespace vcc::runtime {

/// Throws Failure(Exit::Usage) where a stage cannot be trained (or only evaluated) by so many ranks.
void checkRanks(const manifest::Stage &stage, int ranks, bool trains);

/// The processors that this process may use, shared with the ranks that may use the same.
int usableThreads(World &world);

/// Adds the gradients of all ranks; each then has the sum.
void sumGradients(World &world, const StageProgram &program);

/// Joins what the ranks report of a step: losses and counts are added, other numbers averaged, the longest wait counts.
void joinReports(World &world, report::StepReport &report);

/// The first text that is not empty, in order of rank.
std::string firstOf(World &world, const std::string &mine);

/// The clause of the rank that found the earliest launch, empty where none found one.
std::string earliestOf(World &world, const NotFinite &mine);

} // namespace vcc::runtime
#endif
