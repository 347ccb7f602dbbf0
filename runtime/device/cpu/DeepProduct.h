// SPDX-License-Identifier: Apache-2.0
//
// A product that sums over many thousand elements, by oneDNN's sgemm. The library's matmul brings a right-hand side of
// rows into blocks for every band of the result, which costs a fifth where there are few columns and a long sum: the
// gradient of a vocabulary projection's input is one.
#ifndef VCC_RUNTIME_DEVICE_CPU_DEEPPRODUCT_H
#define VCC_RUNTIME_DEVICE_CPU_DEEPPRODUCT_H

#include "runtime/device/cpu/Launch.h"

namespace vcc::runtime {

/// The launch, or none where the product is not of that kind: one matrix by one of rows, both f32, no epilogue but
/// accumulation, k >= 2048 and k >= 2 n.
std::unique_ptr<Launch> makeDeepProduct(const VccLaunch &launch, const StageMemory &memory);

} // namespace vcc::runtime
#endif
