// SPDX-License-Identifier: Apache-2.0
//
// Clips of any shape as squares of one size: the frame is resized to
// the grid of squares that is nearest to its shape and cut along it, row by row; the whole, made one square, may follow.
#ifndef VCC_RUNTIME_DATA_MEDIA_TILES_H
#define VCC_RUNTIME_DATA_MEDIA_TILES_H

#include <cstdint>

namespace vcc::runtime::data {

struct Grid {
  int Columns = 1, Rows = 1;
  int tiles() const { return Columns * Rows; }
  bool operator==(const Grid &) const = default;
};

/// The grid of at most `most` squares whose width over height is nearest to the frame's. Of equally near ones a larger takes
/// over if the frame has more than half of its pixels.
Grid chooseGrid(int width, int height, int side, int most);

/// One frame, packed RGB, as the tiles of `grid` and, where `global`, the whole: planes of 3 x side x side numbers each, tile k's
/// at out + k * stride.
void cutTiles(const uint8_t *rgb, int width, int height, int side, Grid grid, bool global, float *out, int64_t stride);

} // namespace vcc::runtime::data
#endif
