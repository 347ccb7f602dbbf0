// SPDX-License-Identifier: Apache-2.0
//
// The program's main with its data path given: what vcc_main calls, and what tests call with batches of their own.
#ifndef VCC_RUNTIME_LOOP_MAIN_H
#define VCC_RUNTIME_LOOP_MAIN_H

#include "runtime/loop/StageRun.h"

namespace vcc::runtime {

/// Returns the exit code; prints what went wrong.
int runProgram(const std::vector<std::string> &arguments, const VccProgram &program, const Sources &sources);

} // namespace vcc::runtime
#endif
