// SPDX-License-Identifier: Apache-2.0
//
// CPU features are asked, never tried.
#include "runtime/device/cpu/Features.h"
#include "runtime/program/Failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcc::runtime {
namespace {

TEST(Features, AgreeWithTheCompiler) {
  auto present = [](const char *name) {
    try {
      checkFeatures({name}, "test");
      return true;
    } catch (const Failure &failure) {
      EXPECT_EQ(failure.code(), Exit::Machine);
      EXPECT_THAT(failure.what(), testing::HasSubstr(name));
      return false;
    }
  };
  EXPECT_TRUE(present("sse2"));
  EXPECT_TRUE(present("+sse2"));
  EXPECT_TRUE(present("-avx10.1-512"));
  EXPECT_EQ(present("avx2"), bool(__builtin_cpu_supports("avx2")));
  EXPECT_EQ(present("fma"), bool(__builtin_cpu_supports("fma")));
  EXPECT_EQ(present("bmi2"), bool(__builtin_cpu_supports("bmi2")));
  EXPECT_EQ(present("avx512f"), bool(__builtin_cpu_supports("avx512f")));
  EXPECT_EQ(present("avx512vl"), bool(__builtin_cpu_supports("avx512vl")));
  EXPECT_EQ(present("avx512bf16"), bool(__builtin_cpu_supports("avx512bf16")));
  EXPECT_FALSE(present("no-such-feature"));
}

} // namespace
} // namespace vcc::runtime
