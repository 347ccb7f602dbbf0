// SPDX-License-Identifier: Apache-2.0
//
// The program's main with its data path given: what vcc_main calls, and what tests call with batches of their own.
#ifndef VCC_RUNTIME_LOOP_MAIN_H
#define VCC_RUNTIME_LOOP_MAIN_H

#include "runtime/loop/StageRun.h"

namespace vcc::runtime {

using MakeWorld = std::function<std::unique_ptr<World>()>;

/// Returns the exit code; prints what went wrong. Where several ranks run, a fault of one ends all.
int runProgram(const std::vector<std::string> &arguments, const VccProgram &program, const Sources &sources,
               const MakeWorld &makeWorld = makeSingleWorld, const MakeDevice &makeDevice = makeCpuDevice);

/// The same with the runtime's own data path.
int runMain(int argc, char **argv, const VccProgram &program, const MakeWorld &makeWorld, const MakeDevice &makeDevice = makeCpuDevice);

} // namespace vcc::runtime
#endif
