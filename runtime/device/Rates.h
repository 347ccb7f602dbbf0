// SPDX-License-Identifier: Apache-2.0
//
// What this machine can do at a number of threads, measured in well under a second: what a floor is computed from.
#ifndef VCC_RUNTIME_DEVICE_RATES_H
#define VCC_RUNTIME_DEVICE_RATES_H

#include <cstdint>
#include <string>

namespace vcc::runtime {

struct MachineRates {
  double flops = 0; ///< of a matrix product, per second
  double bytes = 0; ///< to and from memory, per second
  double fork = 0;  ///< seconds that starting and joining all threads takes
  std::string source; ///< where they come from; empty: measured here. Both are 0 where nothing is known

  /// The least time for this much work: products and memory overlap at best.
  double floor(uint64_t flopCount, uint64_t byteCount) const {
    if (flops <= 0 || bytes <= 0)
      return 0;
    double compute = double(flopCount) / flops, memory = double(byteCount) / bytes;
    return compute > memory ? compute : memory;
  }
};

/// The best of repeated runs: a square product through the same library calls as a program's, with a packed right-hand side;
/// copying and reading what no cache holds, whichever is faster.
MachineRates measureRates(int threads);

} // namespace vcc::runtime
#endif
