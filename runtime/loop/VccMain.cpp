// SPDX-License-Identifier: Apache-2.0
//
// The entry point that a compiled recipe calls: the runtime with its own data path.
#include "runtime/device/cpu/Threads.h"
#include "runtime/loop/Main.h"

namespace vcc::runtime {

int runMain(int argc, char **argv, const VccProgram &program, const MakeWorld &makeWorld) {
  settleSpinning(argv);
  return runProgram(std::vector<std::string>(argv + 1, argv + argc), program, {openBatchSource, openEvaluationSource},
                    makeWorld);
}

} // namespace vcc::runtime

int vcc_main(int argc, char **argv, const VccProgram *program) {
  return vcc::runtime::runMain(argc, argv, *program, vcc::runtime::makeSingleWorld);
}
