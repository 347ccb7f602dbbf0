// SPDX-License-Identifier: Apache-2.0
//
// The toy as a program of its own, so that tests can kill it.
#include "runtime/device/cpu/Threads.h"
#include "runtime/loop/Main.h"
#include "tests/runtime/ToyProgram.h"

int main(int argc, char **argv) {
  using namespace vcc::runtime;
  settleSpinning(argv);
  return runProgram(std::vector<std::string>(argv + 1, argv + argc), test::toyProgram(), test::toySources());
}
