// SPDX-License-Identifier: Apache-2.0
//
// The seed of a program's random tests. tests/run chooses one for the files as they stand, and prints it.
#ifndef VCC_TESTS_SEED_H
#define VCC_TESTS_SEED_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace vcc::test {

/// VCC_TEST_SEED, or a fresh one; the same for the whole process, which prints it once.
inline uint32_t chosenSeed() {
  static const uint32_t seed = [] {
    const char *given = std::getenv("VCC_TEST_SEED");
    uint32_t chosen = given ? static_cast<uint32_t>(std::strtoull(given, nullptr, 10)) : std::random_device{}();
    std::printf("seed %u (VCC_TEST_SEED)\n", chosen);
    return chosen;
  }();
  return seed;
}

} // namespace vcc::test

#endif
