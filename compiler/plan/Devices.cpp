// SPDX-License-Identifier: Apache-2.0
//
// Numbers from the makers' data sheets. A card's memory is stated in GB there but comes in powers of two.
#include "compiler/plan/Devices.h"

#include <algorithm>
#include <thread>
#include <unistd.h>

namespace vcc::plan {

static constexpr int64_t kGibibyte = int64_t(1) << 30;
static constexpr double kTera = 1e12;

static std::vector<Device> cards() {
  return {
      {"h200", "NVIDIA H200 SXM", 141 * kGibibyte, 4.8 * kTera, 66.9 * kTera, 494.7 * kTera, 989.4 * kTera},
      {"h100", "NVIDIA H100 SXM", 80 * kGibibyte, 3.35 * kTera, 66.9 * kTera, 494.7 * kTera, 989.4 * kTera},
      {"h100-pcie", "NVIDIA H100 PCIe", 80 * kGibibyte, 2.0 * kTera, 51.2 * kTera, 378.0 * kTera, 756.0 * kTera},
      {"a100-80gb", "NVIDIA A100 SXM 80 GB", 80 * kGibibyte, 2.039 * kTera, 19.5 * kTera, 156.0 * kTera, 312.0 * kTera},
      {"a100-40gb", "NVIDIA A100 SXM 40 GB", 40 * kGibibyte, 1.555 * kTera, 19.5 * kTera, 156.0 * kTera, 312.0 * kTera},
      {"l40s", "NVIDIA L40S", 48 * kGibibyte, 0.864 * kTera, 91.6 * kTera, 183.2 * kTera, 362.05 * kTera},
      {"rtx4090", "NVIDIA GeForce RTX 4090", 24 * kGibibyte, 1.008 * kTera, 82.6 * kTera, 82.6 * kTera, 165.2 * kTera},
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
