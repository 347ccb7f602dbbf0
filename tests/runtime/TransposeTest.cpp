// SPDX-License-Identifier: Apache-2.0
//
// Matrices of all widths of elements and of sizes around that of a tile, turned and turned back.
#include "runtime/weights/Transpose.h"

#include "runtime/program/Failure.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace vcc::runtime {
namespace {

/// Distinct bytes in every element.
std::vector<std::byte> numbered(int64_t elements, int64_t width) {
  std::vector<std::byte> bytes(size_t(elements * width));
  uint64_t state = 1;
  for (std::byte &byte : bytes)
    byte = std::byte((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
  return bytes;
}

TEST(Transpose, PutsEveryElementInItsPlace) {
  for (int64_t width : {1, 2, 4, 8})
    for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1, 7}, {7, 1}, {31, 33}, {32, 32}, {64, 5}, {100, 70}, {3, 200}})
      for (int threads : {1, 2, 5}) {
        std::vector<std::byte> before = numbered(rows * columns, width), matrix = before;
        transpose(matrix.data(), rows, columns, width, threads);
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t column = 0; column < columns; ++column)
            ASSERT_EQ(std::memcmp(&matrix[size_t((column * rows + row) * width)], &before[size_t((row * columns + column) * width)], size_t(width)), 0)
                << rows << " x " << columns << " of " << width << " by " << threads << ": " << row << ", " << column;
        transpose(matrix.data(), columns, rows, width, threads);
        EXPECT_EQ(matrix, before);
      }
}

TEST(Transpose, RefusesWidthsThatNoElementHas) {
  std::vector<std::byte> matrix(12);
  EXPECT_THROW(transpose(matrix.data(), 2, 2, 3, 1), Failure);
}

} // namespace
} // namespace vcc::runtime
