// SPDX-License-Identifier: Apache-2.0
//
// The choice of a grid and the cut along it. Ratios are compared as doubles, as the reference does: a tie is an exact one.
#include "runtime/data/media/Tiles.h"
#include "runtime/data/media/Resize.h"

#include <cmath>
#include <limits>
#include <vector>

namespace vcc::runtime::data {

Grid chooseGrid(int width, int height, int side, int most) {
  Grid best;
  double wanted = double(width) / height, least = std::numeric_limits<double>::infinity();
  double area = double(width) * height;
  for (int tiles = 1; tiles <= most; ++tiles)
    for (int columns = 1; columns <= tiles; ++columns) {
      if (tiles % columns)
        continue;
      Grid grid{columns, tiles / columns};
      double off = std::abs(wanted - double(grid.Columns) / grid.Rows);
      if (off < least || (off == least && area > 0.5 * side * side * tiles))
        best = grid;
      least = std::min(least, off);
    }
  return best;
}

/// The square at (left, top) of packed RGB as planes.
static void toPlanes(const float *rgb, int width, int left, int top, int side, float *planes) {
  for (int y = 0; y < side; ++y) {
    const float *from = rgb + (size_t(top + y) * width + left) * 3;
    float *to = planes + size_t(y) * side;
    for (int c = 0; c < 3; ++c, to += size_t(side) * side)
      for (int x = 0; x < side; ++x)
        to[x] = from[size_t(x) * 3 + c];
  }
}

void cutTiles(const uint8_t *rgb, int width, int height, int side, Grid grid, bool global, float *out, int64_t stride) {
  int wide = grid.Columns * side, high = grid.Rows * side;
  std::vector<float> resized(size_t(wide) * high * 3);
  resizeBicubic(rgb, width, height, wide, high, resized.data());
  for (int row = 0; row < grid.Rows; ++row)
    for (int column = 0; column < grid.Columns; ++column, out += stride)
      toPlanes(resized.data(), wide, column * side, row * side, side, out);
  if (!global)
    return;
  std::vector<float> whole(size_t(side) * side * 3);
  resizeBicubic(resized.data(), wide, high, side, side, whole.data());
  toPlanes(whole.data(), side, 0, 0, side, out);
}

} // namespace vcc::runtime::data
