// SPDX-License-Identifier: Apache-2.0
//
// Numbers beside those that are expected.
#ifndef VCC_TESTS_UNIT_FUSE_NEAR_H
#define VCC_TESTS_UNIT_FUSE_NEAR_H

#include "llvm/ADT/ArrayRef.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace vcc::test {

/// Each within `tolerance` of the largest that is expected; below 1e-3 there is only noise.
inline void expectNear(llvm::ArrayRef<double> expected, llvm::ArrayRef<double> found, double tolerance, const std::string &what) {
  ASSERT_EQ(expected.size(), found.size()) << what;
  double largest = 1e-3;
  for (double value : expected)
    largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(expected[i], found[i], tolerance * largest) << what << " element " << i;
}

} // namespace vcc::test

#endif
