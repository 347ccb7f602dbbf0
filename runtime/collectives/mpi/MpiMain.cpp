// SPDX-License-Identifier: Apache-2.0
//
// The entry point of a compiled recipe that says `parallel`.
#include "runtime/collectives/mpi/Mpi.h"
#include "runtime/loop/Main.h"

int vcc_main_mpi(int argc, char **argv, const VccProgram *program) {
  return vcc::runtime::runMain(argc, argv, *program, vcc::runtime::makeMpiWorld);
}
