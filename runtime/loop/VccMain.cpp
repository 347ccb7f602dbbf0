// SPDX-License-Identifier: Apache-2.0
//
// The entry point that a recipe compiled for the CPU calls.
#include "runtime/loop/Main.h"

int vcc_main(int argc, char **argv, const VccProgram *program) {
  return vcc::runtime::runMain(argc, argv, *program, vcc::runtime::makeSingleWorld);
}
