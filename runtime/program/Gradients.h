// SPDX-License-Identifier: Apache-2.0
//
// Where a stage's gradients lie: what ranks add up.
#ifndef VCC_RUNTIME_PROGRAM_GRADIENTS_H
#define VCC_RUNTIME_PROGRAM_GRADIENTS_H

#include "runtime/program/Abi.h"
#include "runtime/program/Manifest.h"

#include <vector>

namespace vcc::runtime {

struct GradientSpan {
  VccRegion region;
  uint64_t begin, end; ///< bytes in the region
  friend bool operator==(const GradientSpan &, const GradientSpan &) = default;
};

/// Of each group and each weight that has one, in order of their places; the weights of a group lie inside the group's.
std::vector<GradientSpan> gradientSpans(const manifest::Stage &stage);

/// Those that lie in no other: each element once.
std::vector<GradientSpan> outermost(const std::vector<GradientSpan> &spans);

} // namespace vcc::runtime
#endif
