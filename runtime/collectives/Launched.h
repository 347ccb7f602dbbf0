// SPDX-License-Identifier: Apache-2.0
//
// What a launcher has told this process of the ranks it started, by environment variables.
#ifndef VCC_RUNTIME_COLLECTIVES_LAUNCHED_H
#define VCC_RUNTIME_COLLECTIVES_LAUNCHED_H

#include <string>

namespace vcc::runtime {

/// mpirun, srun or torchrun; one rank where there is none. Throws Failure(Exit::Usage) for a rank beyond the number of ranks.
struct Launched {
  bool byLauncher = false;
  bool byMpi = false; ///< MPI's own start finds the others
  int rank = 0, size = 1;
  int local = 0; ///< of the ranks on this machine
};
Launched launchedRanks();

/// Where rank 0 waits for the others.
struct Meeting {
  std::string host;
  int port = 0;
};
/// MASTER_ADDR and MASTER_PORT where they are set, as torchrun does; else Slurm's first node, or this machine where all ranks run on
/// it. Throws Failure(Exit::Usage) where nothing says which machine rank 0 runs on.
Meeting meetingPlace();

/// The first machine of Slurm's notation: `gpu[03-07,9],login` is `gpu03`.
std::string firstOfNodes(const std::string &list);

} // namespace vcc::runtime
#endif
