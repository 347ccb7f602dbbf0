// SPDX-License-Identifier: Apache-2.0
//
// How long an idle computing thread spins. libgomp's default, milliseconds, starves the decoding threads and stalls every
// launch when the cores are shared (measured: a step of small launches took 10 to 30 times as long beside four other
// busy threads); some tens of microseconds still cover the gap between two launches. libgomp reads the setting before main, so the program starts
// itself once more with it.
#include "runtime/device/cpu/Threads.h"

#include <climits>
#include <cstdlib>

#include <unistd.h>

namespace vcc::runtime {

void settleSpinning(char **argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY"))
    return;
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0)
    return;
  path[length] = 0;
  setenv("GOMP_SPINCOUNT", "2000", 1);
  execv(path, argv); // where this fails, the program only runs slower
}

} // namespace vcc::runtime
