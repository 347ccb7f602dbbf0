// SPDX-License-Identifier: Apache-2.0
//
// Weights for a run that measures and learns nothing: those that the recipe would read from files or stages are drawn.
#ifndef VCC_RUNTIME_WEIGHTS_SYNTHETIC_H
#define VCC_RUNTIME_WEIGHTS_SYNTHETIC_H

#include "runtime/weights/Start.h"

namespace vcc::runtime {

/// Draws every weight that no `init` of the recipe writes, keyed by (seed, path): matrices evenly with the variance 1 / fan-in, so that
/// activations keep their size, gains (1-d, named `weight`) are 1, other vectors 0. Reads no file.
Provenance syntheticWeights(const manifest::Stage &stage, uint64_t seed, int threads,
                            const std::function<std::byte *(const manifest::State &)> &address);

} // namespace vcc::runtime
#endif
