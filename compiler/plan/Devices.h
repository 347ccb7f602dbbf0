// SPDX-License-Identifier: Apache-2.0
//
// The table of devices: what each holds, moves and computes at best.
#ifndef VCC_COMPILER_PLAN_DEVICES_H
#define VCC_COMPILER_PLAN_DEVICES_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vcc::plan {

/// Peaks as the maker states them, dense (without sparsity). Rates in operations a second, a multiplication and an addition being two.
struct Device {
  std::string name, title;
  int64_t memory = 0;   ///< bytes
  double bandwidth = 0; ///< bytes a second between memory and chip
  double f32 = 0;       ///< of the plain units, which all but matrix products run on
  double tf32 = 0;      ///< of the matrix units on f32 rounded to 10 bits; 0 where there are none
  double bf16 = 0;      ///< of the matrix units on bf16 or fp16 with sums in f32; 0 where there are none
};

/// The device of that name; `cpu` is the machine that vcc runs on.
std::optional<Device> findDevice(const std::string &name);

/// Names in the order of the table.
std::vector<std::string> deviceNames();

} // namespace vcc::plan

#endif
