// SPDX-License-Identifier: Apache-2.0
//
// Ranks by MPI. A library of its own: only programs of recipes that say `parallel` are linked with it and need libmpi.
#ifndef VCC_RUNTIME_COLLECTIVES_MPI_MPI_H
#define VCC_RUNTIME_COLLECTIVES_MPI_MPI_H

#include "runtime/collectives/World.h"

namespace vcc::runtime {

/// The ranks that a launcher started; one process where none did. Throws Failure(Exit::Machine) where MPI cannot be used.
std::unique_ptr<World> makeMpiWorld();

} // namespace vcc::runtime
#endif
