// SPDX-License-Identifier: Apache-2.0
#include "runtime/weights/Transpose.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace vcc::runtime {

/// A square of so many elements on a side stays in the first cache, as read and as written.
static constexpr int64_t Tile = 32;

/// Rows from `begin` to `end` of `from` become columns of `to`.
template <class Element> static void turn(const Element *from, Element *to, int64_t begin, int64_t end, int64_t rows, int64_t columns) {
  for (int64_t top = begin; top < end; top += Tile)
    for (int64_t left = 0; left < columns; left += Tile)
      for (int64_t column = left; column < std::min(left + Tile, columns); ++column)
        for (int64_t row = top; row < std::min(top + Tile, end); ++row)
          to[column * rows + row] = from[row * columns + column];
}

template <class Element> static void turnAll(std::byte *matrix, int64_t rows, int64_t columns, int threads) {
  auto before = std::make_unique_for_overwrite<Element[]>(size_t(rows * columns));
  std::memcpy(before.get(), matrix, size_t(rows * columns) * sizeof(Element));
  auto *to = reinterpret_cast<Element *>(matrix);
  int64_t share = std::max<int64_t>(Tile, (rows + threads - 1) / threads);
  std::vector<std::jthread> others;
  for (int64_t begin = share; begin < rows; begin += share)
    others.emplace_back([&, begin] { turn(before.get(), to, begin, std::min(begin + share, rows), rows, columns); });
  turn(before.get(), to, 0, std::min(share, rows), rows, columns);
}

void transpose(std::byte *matrix, int64_t rows, int64_t columns, int64_t width, int threads) {
  if (rows <= 1 || columns <= 1)
    return;
  switch (width) {
  case 1: return turnAll<uint8_t>(matrix, rows, columns, threads);
  case 2: return turnAll<uint16_t>(matrix, rows, columns, threads);
  case 4: return turnAll<uint32_t>(matrix, rows, columns, threads);
  case 8: return turnAll<uint64_t>(matrix, rows, columns, threads);
  }
  throw Failure(Exit::Internal, fmt::format("elements of {} bytes cannot be transposed", width));
}

} // namespace vcc::runtime
