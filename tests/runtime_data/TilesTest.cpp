// SPDX-License-Identifier: Apache-2.0
//
// Grids as upstream chooses them, and the cut along them. tests/parity/test_tiles.py compares pixels with PyTorch's.
#include "runtime/data/batches/SampleMaker.h"
#include "runtime/data/media/ClipReader.h"
#include "runtime/data/media/Resize.h"
#include "runtime/data/media/Tiles.h"
#include "tests/runtime_data/Scratch.h"

#include <gmock/gmock.h>

#include <cstring>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;

namespace {

// Height x width of the frame to that of the resized one, in squares of 224.
TEST(Tiles, hdGrids) {
  struct Case {
    int Height, Width, High, Wide;
  };
  for (Case c : {Case{224, 224, 224, 224}, {480, 480, 448, 448}, {240, 320, 448, 672}, {360, 640, 224, 448}, {720, 1280, 224, 448},
                 {1080, 1920, 224, 448}, {640, 360, 448, 224}, {100, 1000, 224, 1344}}) {
    Grid grid = chooseGrid(c.Width, c.Height, 224, 6);
    EXPECT_EQ(grid.Columns * 224, c.Wide) << c.Height << "x" << c.Width;
    EXPECT_EQ(grid.Rows * 224, c.High) << c.Height << "x" << c.Width;
  }
}

// 5:4 is as near to 1:1 as to 3:2, and 1:1 is 2:2: the larger grid has it if more than half of its pixels are there.
TEST(Tiles, tiesGoToTheLargerGridOfALargeEnoughFrame) {
  EXPECT_EQ(chooseGrid(250, 200, 224, 6), (Grid{1, 1}));
  EXPECT_EQ(chooseGrid(400, 320, 224, 6), (Grid{2, 2})); // 128,000 pixels of 4 x 25,088 and 6 x 25,088
  EXPECT_EQ(chooseGrid(500, 400, 224, 6), (Grid{3, 2}));
  EXPECT_EQ(chooseGrid(316, 316, 224, 6), (Grid{1, 1})); // 99,856 pixels, of 100,352 half a grid of four
  EXPECT_EQ(chooseGrid(317, 317, 224, 6), (Grid{2, 2})); // 100,489
  EXPECT_EQ(chooseGrid(317, 317, 224, 3), (Grid{1, 1})); // which three tiles do not make
  EXPECT_EQ(chooseGrid(1, 100, 224, 1), (Grid{1, 1}));
}

std::vector<uint8_t> image(int width, int height) {
  std::vector<uint8_t> rgb;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        rgb.push_back((x / 5 + y / 3) % 2 ? 255 : static_cast<uint8_t>(c));
  return rgb;
}

// Tiles row by row, planes in each, then the whole; numbers go beyond bytes.
TEST(Tiles, areCutRowByRow) {
  const int width = 50, height = 33, side = 16;
  auto rgb = image(width, height);
  Grid grid{3, 2};
  size_t square = 3 * side * side;
  std::vector<float> out(7 * square + 6, -1000), resized(size_t(3) * 48 * 32), whole(square);
  cutTiles(rgb.data(), width, height, side, grid, true, out.data(), static_cast<int64_t>(square + 1));
  resizeBicubic(rgb.data(), width, height, 48, 32, resized.data());
  resizeBicubic(resized.data(), 48, 32, side, side, whole.data());
  for (int tile = 0; tile < 7; ++tile)
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
          int top = tile / 3 * side + y, left = tile % 3 * side + x;
          float wanted = tile < 6 ? resized[(size_t(top) * 48 + left) * 3 + c] : whole[(size_t(y) * side + x) * 3 + c];
          ASSERT_EQ(out[size_t(tile) * (square + 1) + (size_t(c) * side + y) * side + x], wanted) << tile << " " << c << " " << y << " " << x;
        }
  EXPECT_EQ(out[square], -1000); // between the tiles nothing is written
  EXPECT_LT(*std::min_element(resized.begin(), resized.end()), -5);
  EXPECT_GT(*std::max_element(resized.begin(), resized.end()), 260);
}

TEST(Tiles, ofAFile) {
  Scratch files;
  std::string ppm = "P6\n50 17\n255\n";
  auto rgb = image(50, 17);
  ppm.append(rgb.begin(), rgb.end());
  std::string path = files.write("image.ppm", ppm);
  for (uint64_t cache : {0, 1 << 20}) {
    ClipSpec spec{2, 16, 16, FrameMode::Middle, Crop::None, false, cache};
    spec.Tiles = 3;
    spec.Global = true;
    ClipReader reader(spec);
    EXPECT_EQ(reader.clipBytes(), size_t(2) * 3 * 16 * 16 * 4);
    EXPECT_EQ(reader.bytes(), 4 * reader.clipBytes());
    std::vector<uint8_t> pixels(reader.bytes());
    reader.read(path, {1, 0, 0}, pixels.data());
    EXPECT_EQ(reader.clips(path), 4u); // 50:17 is nearest to 3:1
    std::vector<float> squares(4 * 3 * 16 * 16), frame(3 * 16 * 16);
    cutTiles(rgb.data(), 50, 17, 16, {3, 1}, true, squares.data(), 3 * 16 * 16);
    for (size_t clip = 0; clip < 4; ++clip)
      for (size_t t = 0; t < 2; ++t) { // the one frame twice
        std::memcpy(frame.data(), pixels.data() + (clip * 2 + t) * frame.size() * 4, frame.size() * 4);
        EXPECT_TRUE(std::equal(frame.begin(), frame.end(), squares.begin() + static_cast<ptrdiff_t>(clip * frame.size())));
      }
  }
}

/// A micro-batch that is compiled for more clips than its rows have: what is left is black, stands in the first row, and is counted.
TEST(Tiles, clipsOfNoRowAreCounted) {
  manifest::Batch batch;
  batch.rows = 2;
  batch.media = manifest::Media{"clip", 1, 2, 2};
  batch.media->tiles = {3, true, 8};
  std::vector<float> pixels(8 * 12, 7);
  std::vector<int32_t> rows(8, 9);
  HostTensors tensors = {{"clip.pixels", {DType::F32, {8, 1, 3, 2, 2}, pixels.data()}}, {"batch.clip_rows", {DType::I32, {8}, rows.data()}}};
  std::vector<float> red(4 * 12, 1);
  auto bytes = reinterpret_cast<const uint8_t *>(red.data());
  BatchWriter writer(batch, tensors);
  writer.row(0, {}, bytes, 2);
  writer.row(1, {}, bytes, 4);
  EXPECT_EQ(writer.emptyClips(), 2);
  EXPECT_EQ(rows, (std::vector<int32_t>{0, 0, 1, 1, 1, 1, 0, 0}));
  for (size_t i = 0; i < pixels.size(); ++i)
    EXPECT_EQ(pixels[i], i < 6 * 12 ? 1 : 0);
  BatchWriter full(batch, tensors);
  full.row(0, {}, bytes, 4);
  full.row(1, {}, bytes, 4);
  EXPECT_EQ(full.emptyClips(), 0);
}

} // namespace
