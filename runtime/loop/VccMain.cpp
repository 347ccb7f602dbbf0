// SPDX-License-Identifier: Apache-2.0
//
// The entry point that a compiled recipe calls: the runtime with its own data path.
#include "runtime/device/cpu/Threads.h"
#include "runtime/loop/Main.h"

int vcc_main(int argc, char **argv, const VccProgram *program) {
  using namespace vcc::runtime;
  settleSpinning(argv);
  return runProgram(std::vector<std::string>(argv + 1, argv + argc), *program,
                    {openBatchSource, openEvaluationSource});
}
