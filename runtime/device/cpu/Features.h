// SPDX-License-Identifier: Apache-2.0
//
// Whether this CPU (and its operating system) has what the program's kernels were compiled for.
#ifndef VCC_RUNTIME_DEVICE_CPU_FEATURES_H
#define VCC_RUNTIME_DEVICE_CPU_FEATURES_H

#include <string>
#include <vector>

namespace vcc::runtime {

/// Throws Failure(Exit::Machine) naming every feature (by LLVM's names) that this CPU lacks. To be called before any
/// generated code runs.
void checkFeatures(const std::vector<std::string> &features, const std::string &compiledFor);

/// The CPU's name as it tells it, for logs.
std::string cpuName();

} // namespace vcc::runtime
#endif
