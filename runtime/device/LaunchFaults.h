// SPDX-License-Identifier: Apache-2.0
//
// What every device says of a launch that it cannot run.
#ifndef VCC_RUNTIME_DEVICE_LAUNCHFAULTS_H
#define VCC_RUNTIME_DEVICE_LAUNCHFAULTS_H

#include "runtime/program/Abi.h"

#include <string>

namespace vcc::runtime {

/// Throws Failure(Exit::Internal) that names the launch and what is wrong with it.
[[noreturn]] void failLaunch(const VccLaunch &launch, const std::string &what);
/// Fails unless the launch has at least these many operands and integers.
void checkCounts(const VccLaunch &launch, uint64_t buffers, uint64_t ints);

} // namespace vcc::runtime
#endif
