// SPDX-License-Identifier: Apache-2.0
//
// What all entry points share: the runtime with its own data path, on a device and among ranks that the entry point names.
#include "runtime/device/cpu/Threads.h"
#include "runtime/loop/Main.h"

namespace vcc::runtime {

int runMain(int argc, char **argv, const VccProgram &program, const MakeWorld &makeWorld, const MakeDevice &makeDevice) {
  settleSpinning(argv);
  return runProgram(std::vector<std::string>(argv + 1, argv + argc), program, {openBatchSource, openEvaluationSource, openSyntheticSource}, makeWorld,
                    makeDevice);
}

} // namespace vcc::runtime
