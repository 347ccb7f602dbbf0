// SPDX-License-Identifier: Apache-2.0
//
// What a driver's result means to a user: a sentence, what to do, and the exit code.
#ifndef VCC_RUNTIME_DEVICE_CUDA_FAULTS_H
#define VCC_RUNTIME_DEVICE_CUDA_FAULTS_H

#include "runtime/device/cuda/DriverApi.h"

#include <string>

namespace vcc::runtime::cuda {

/// Throws the Failure of a result; `doing` says what failed: "copy the weights to the GPU".
[[noreturn]] void failCall(const DriverApi &api, Result result, const std::string &doing);

} // namespace vcc::runtime::cuda
#endif
