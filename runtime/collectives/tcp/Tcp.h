// SPDX-License-Identifier: Apache-2.0
//
// Ranks over sockets, for programs whose launcher brings no MPI: rank 0 is connected with all others. Made for what the loop
// agrees on, a few kilobytes a step; what GPUs add up goes another way (collectives/nccl).
#ifndef VCC_RUNTIME_COLLECTIVES_TCP_TCP_H
#define VCC_RUNTIME_COLLECTIVES_TCP_TCP_H

#include "runtime/collectives/World.h"

namespace vcc::runtime {

/// Waits until all ranks are there, for so many seconds at most; throws Failure that says who is missing. A rank that ends without
/// its destructor, or by abort(), ends all, be they computing or waiting.
std::unique_ptr<World> makeTcpWorld(const Launched &launched, const Meeting &meeting, int seconds = 300);

/// The ranks that a launcher started; one process where none did.
std::unique_ptr<World> makeLaunchedWorld();

} // namespace vcc::runtime
#endif
