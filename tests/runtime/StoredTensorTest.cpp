// SPDX-License-Identifier: Apache-2.0
//
// Tensors as others keep them: types, strides and byte orders, element by element against the compiler's own conversions.
#include "runtime/weights/StoredTensor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

namespace vcc::runtime {
namespace {

template <class T> StoredTensor stored(DType dtype, Shape shape, const std::vector<T> &values) {
  return {dtype, shape, rowMajor(shape), reinterpret_cast<const std::byte *>(values.data()), false};
}

std::vector<float> floatsOf(const StoredTensor &tensor) {
  std::vector<float> made(size_t(elementsOf(tensor.shape)), -7);
  EXPECT_EQ(readTensor(tensor, DType::F32, reinterpret_cast<std::byte *>(made.data())), std::nullopt);
  return made;
}

uint32_t bitsOf(float value) { return std::bit_cast<uint32_t>(value); }

TEST(StoredTensor, EveryHalfIsExact) {
  std::vector<uint16_t> halves(1 << 16);
  std::iota(halves.begin(), halves.end(), uint16_t(0));
  std::vector<float> read = floatsOf(stored(DType::F16, {1 << 16}, halves));
  for (uint32_t i = 0; i < halves.size(); ++i) {
    auto expected = float(std::bit_cast<_Float16>(uint16_t(i)));
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(read[i])) << i;
    else
      EXPECT_EQ(bitsOf(read[i]), bitsOf(expected)) << i;
  }
}

TEST(StoredTensor, EveryBrainFloatIsExact) {
  std::vector<uint16_t> values(1 << 16);
  std::iota(values.begin(), values.end(), uint16_t(0));
  std::vector<float> read = floatsOf(stored(DType::BF16, {1 << 8, 1 << 8}, values));
  for (uint32_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(bitsOf(read[i]), i << 16);
}

TEST(StoredTensor, SinglesKeepTheirBits) {
  std::vector<uint32_t> bits = {0, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0x7fa00000, 0x3f800000};
  std::vector<float> read = floatsOf(stored(DType::F32, {9}, bits));
  EXPECT_EQ(std::memcmp(read.data(), bits.data(), 36), 0);
}

TEST(StoredTensor, DoublesBecomeTheNearestSingle) {
  double tiny = std::numeric_limits<float>::denorm_min(), infinite = std::numeric_limits<double>::infinity();
  std::vector<double> values = {0.1, -0.0, 1 + 0x1p-24, 1 + 0x1.8p-23, tiny, tiny / 4, infinite, -infinite, std::nan("")};
  std::vector<float> read = floatsOf(stored(DType::F64, {9}, values));
  EXPECT_EQ(read[0], 0.1f);
  EXPECT_EQ(bitsOf(read[1]), 0x80000000u);
  EXPECT_EQ(read[2], 1.0f); // halfway: to even
  EXPECT_EQ(read[3], 1.0f + 0x1p-22f);
  EXPECT_EQ(read[4], float(tiny));
  EXPECT_EQ(read[5], 0.0f);
  EXPECT_EQ(read[6], infinite);
  EXPECT_EQ(read[7], -infinite);
  EXPECT_TRUE(std::isnan(read[8]));
}

TEST(StoredTensor, ADoubleThatNoSingleHoldsIsTold) {
  std::vector<double> values = {1, 2, 1e300, -1e300};
  float to[4];
  EXPECT_EQ(readTensor(stored(DType::F64, {2, 2}, values), DType::F32, reinterpret_cast<std::byte *>(to)), 2);
}

TEST(StoredTensor, SinglesBecomeTheNearestBrainFloat) {
  std::vector<uint32_t> bits = {0x3f800000, 0x3f808000, 0x3f808001, 0x3f818000, 0xbf807fff, 0x7f800000, 0x7f800001, 0x80000001, 0x7f7f7fff};
  std::vector<uint16_t> wanted = {0x3f80, 0x3f80, 0x3f81, 0x3f82, 0xbf80, 0x7f80, 0x7fc0, 0x8000, 0x7f7f}, read(9);
  EXPECT_EQ(readTensor(stored(DType::F32, {9}, bits), DType::BF16, reinterpret_cast<std::byte *>(read.data())), std::nullopt);
  EXPECT_EQ(read, wanted);
  std::vector<double> large = {1, 3.4e38, 1e300}; // the second is a single, and nearer to 2^128 than to any bf16
  EXPECT_EQ(readTensor(stored(DType::F64, {3}, large), DType::BF16, reinterpret_cast<std::byte *>(read.data())), 1);
  std::vector<uint16_t> halves = {0x3c00, 0x3c01};
  EXPECT_EQ(readTensor(stored(DType::F16, {2}, halves), DType::BF16, reinterpret_cast<std::byte *>(read.data())), std::nullopt);
  EXPECT_EQ(read[1], 0x3f80);
}

/// All floats with one of 2^14 fractions, and those next to ties.
TEST(StoredTensor, SinglesBecomeTheNearestHalf) {
  std::vector<float> values;
  for (uint64_t high = 0; high < 1 << 23; high += 3)
    for (uint32_t low : {0u, 1u, 0x1ffu})
      values.push_back(std::bit_cast<float>(uint32_t(high << 9) | low));
  std::vector<uint16_t> read(values.size());
  auto lost = readTensor(stored(DType::F32, {int64_t(values.size())}, values), DType::F16, reinterpret_cast<std::byte *>(read.data()));
  std::optional<int64_t> first;
  for (size_t i = 0; i < values.size(); ++i) {
    auto expected = _Float16(values[i]);
    if (std::isinf(float(expected)) && !std::isinf(values[i]) && !first)
      first = int64_t(i);
    if (std::isnan(values[i]))
      ASSERT_TRUE(std::isnan(float(std::bit_cast<_Float16>(read[i])))) << values[i];
    else
      ASSERT_EQ(read[i], std::bit_cast<uint16_t>(expected)) << values[i];
  }
  ASSERT_TRUE(first);
  EXPECT_EQ(lost, first);
  std::vector<float> ends = {65519.996f, -65519.996f, 65520, 1};
  std::vector<uint16_t> held(4);
  EXPECT_EQ(readTensor(stored(DType::F32, {4}, ends), DType::F16, reinterpret_cast<std::byte *>(held.data())), 2);
  EXPECT_EQ(held, (std::vector<uint16_t>{0x7bff, 0xfbff, 0x7c00, 0x3c00}));
}

TEST(StoredTensor, OnlyFloatsBecomeFloats) {
  for (DType type : {DType::F64, DType::F32, DType::F16, DType::BF16}) {
    EXPECT_TRUE(isReadable(type, DType::F32));
    EXPECT_TRUE(isReadable(type, DType::BF16));
  }
  for (DType type : {DType::I64, DType::I32, DType::I16, DType::I8, DType::U8, DType::Bool}) {
    EXPECT_FALSE(isReadable(type, DType::F32));
    EXPECT_FALSE(isReadable(type, DType::BF16));
    EXPECT_TRUE(isReadable(type, type));
  }
  EXPECT_FALSE(isReadable(DType::F32, DType::I32));
}

TEST(StoredTensor, GathersByStrides) {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0f);
  StoredTensor tensor = stored(DType::F32, {4, 2, 3}, values);
  tensor.strides = {1, 12, 4}; // axes turned round
  EXPECT_FALSE(tensor.isRowMajor());
  EXPECT_EQ(tensor.extent(), 24u * 4);
  std::vector<float> read = floatsOf(tensor);
  for (int a = 0; a < 4; ++a)
    for (int b = 0; b < 2; ++b)
      for (int c = 0; c < 3; ++c)
        EXPECT_EQ(read[size_t(a * 6 + b * 3 + c)], float(a + 12 * b + 4 * c));
  tensor.shape = {2, 3}, tensor.strides = {0, 0};
  EXPECT_EQ(floatsOf(tensor), std::vector<float>(6, 0.0f));
  EXPECT_EQ(tensor.extent(), 4u);
  tensor.shape = {1, 3, 1}, tensor.strides = {77, 1, 99};
  EXPECT_TRUE(tensor.isRowMajor());
  EXPECT_EQ(floatsOf(tensor), (std::vector<float>{0, 1, 2}));
  tensor.shape = {}, tensor.strides = {};
  EXPECT_EQ(floatsOf(tensor), std::vector<float>{0});
  tensor.shape = {3, 0}, tensor.strides = {5, 5}, tensor.data = nullptr;
  EXPECT_EQ(floatsOf(tensor), std::vector<float>{});
}

TEST(StoredTensor, SwapsBytes) {
  std::vector<uint16_t> halves = {0x003c, 0x00c0}; // 1 and -2, big-endian
  StoredTensor tensor = stored(DType::F16, {2}, halves);
  tensor.swapped = true;
  EXPECT_EQ(floatsOf(tensor), (std::vector<float>{1, -2}));
  std::vector<uint64_t> wide = {__builtin_bswap64(std::bit_cast<uint64_t>(0.5)), __builtin_bswap64(5)};
  tensor = stored(DType::F64, {1}, wide), tensor.swapped = true;
  EXPECT_EQ(floatsOf(tensor), std::vector<float>{0.5});
  tensor = stored(DType::I64, {2}, wide), tensor.swapped = true;
  int64_t integers[2];
  readTensor(tensor, DType::I64, reinterpret_cast<std::byte *>(integers));
  EXPECT_EQ(integers[1], 5);
}

TEST(StoredTensor, ComparesElements) {
  std::vector<float> values = {1, 2, 3, 4}, others = {1, 3, 2, 4}, more = {1, 2, 3, 5};
  StoredTensor a = stored(DType::F32, {2, 2}, values), b = stored(DType::F32, {2, 2}, others);
  EXPECT_TRUE(isSame(a, a));
  EXPECT_FALSE(isSame(a, b));
  b.strides = {1, 2}; // turned round it is the same
  EXPECT_TRUE(isSame(a, b));
  EXPECT_FALSE(isSame(a, stored(DType::F32, {2, 2}, more)));
  EXPECT_FALSE(isSame(a, stored(DType::F32, {4}, values)));
}

} // namespace
} // namespace vcc::runtime
