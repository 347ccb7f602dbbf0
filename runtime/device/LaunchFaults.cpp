// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/LaunchFaults.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

namespace vcc::runtime {

void failLaunch(const VccLaunch &launch, const std::string &what) {
  throw Failure(Exit::Internal, fmt::format("launch `{}` {}", launch.name ? launch.name : "?", what));
}

void checkCounts(const VccLaunch &launch, uint64_t buffers, uint64_t ints) {
  if (launch.buffer_count < buffers || launch.int_count < ints)
    failLaunch(launch, fmt::format("has {} operands and {} integers, but its kind needs {} and {}",
                                   launch.buffer_count, launch.int_count, buffers, ints));
}

} // namespace vcc::runtime
