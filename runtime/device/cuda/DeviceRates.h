// SPDX-License-Identifier: Apache-2.0
//
// What a GPU does at best, by the table of devices.
#ifndef VCC_RUNTIME_DEVICE_CUDA_DEVICERATES_H
#define VCC_RUNTIME_DEVICE_CUDA_DEVICERATES_H

#include "runtime/device/Rates.h"

#include <string>

namespace vcc::runtime::cuda {

/// `name` as the driver says it, `precision` of the stage. No rates where the table does not have that GPU.
MachineRates ratesOf(const std::string &name, const std::string &precision);

} // namespace vcc::runtime::cuda
#endif
