// SPDX-License-Identifier: Apache-2.0
//
// Numbers from the makers' data sheets, which the runtime has too. A card's memory is stated in GB there but comes in powers of two.
#include "compiler/plan/Devices.h"

#include <algorithm>
#include <thread>
#include <unistd.h>

namespace vcc::plan {

static constexpr int64_t kGibibyte = int64_t(1) << 30;
static constexpr double kTera = 1e12;

static std::vector<Device> cards() {
  return {
#define VCC_DEVICE(NAME, TITLE, WORDS, GIB, BANDWIDTH, F32, TF32, BF16)                                                         \
  {NAME, TITLE, GIB * kGibibyte, BANDWIDTH * kTera, F32 * kTera, TF32 * kTera, BF16 * kTera},
#include "runtime/program/Devices.def"
#undef VCC_DEVICE
  };
}

/// More than any core of today does, so that what follows from it stays a lower bound of time: two units of 16 f32 lanes that
/// multiply and add, 4 GHz, and 50 GB/s of the memory's bandwidth for each core.
static Device thisMachine() {
  int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  Device device;
  device.name = "cpu";
  device.title = "this machine, " + std::to_string(cores) + (cores == 1 ? " core" : " cores");
  device.memory = int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGE_SIZE));
  device.bandwidth = double(cores) * 50e9;
  device.f32 = double(cores) * 256e9;
  return device;
}

std::optional<Device> findDevice(const std::string &name) {
  for (const Device &device : cards())
    if (device.name == name)
      return device;
  if (name == "cpu")
    return thisMachine();
  return std::nullopt;
}

std::vector<std::string> deviceNames() {
  std::vector<std::string> names;
  for (const Device &device : cards())
    names.push_back(device.name);
  names.push_back("cpu");
  return names;
}

} // namespace vcc::plan
