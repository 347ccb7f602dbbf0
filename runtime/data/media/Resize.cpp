// SPDX-License-Identifier: Apache-2.0
//
// resizeBicubic: taps of every column and row first, then rows by columns, in f32 as the reference does.
#include "runtime/data/media/Resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace vcc::runtime::data {
namespace {

struct Taps {
  std::array<int, 4> At;
  std::array<float, 4> By;
};

std::vector<Taps> tapsOf(int size, int resized, int first, int count) {
  constexpr float A = -0.75f;
  float scale = static_cast<float>(size) / static_cast<float>(resized);
  auto near = [](float x) { return ((A + 2) * x - (A + 3)) * x * x + 1; };
  auto far = [](float x) { return ((A * x - 5 * A) * x + 8 * A) * x - 4 * A; };
  std::vector<Taps> all(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    float place = scale * (static_cast<float>(first + i) + 0.5f) - 0.5f;
    float whole = std::floor(place), t = place - whole;
    Taps &taps = all[static_cast<size_t>(i)];
    taps.By = {far(t + 1), near(t), near(1 - t), far(2 - t)};
    for (int k = 0; k < 4; ++k)
      taps.At[static_cast<size_t>(k)] = std::clamp(static_cast<int>(whole) - 1 + k, 0, size - 1);
  }
  return all;
}

template <typename In, typename Put>
void interpolate(const In *rgb, int width, const Rect &from, int resizedWidth, int resizedHeight, const Rect &part, Put put) {
  std::vector<Taps> columns = tapsOf(from.Width, resizedWidth, part.Left, part.Width);
  std::vector<Taps> rows = tapsOf(from.Height, resizedHeight, part.Top, part.Height);
  // Rows of the source are interpolated along x once, when a row of the result first needs them.
  size_t lineSize = static_cast<size_t>(part.Width) * 3;
  std::vector<std::vector<float>> lines(static_cast<size_t>(from.Height));
  auto line = [&](int y) -> const std::vector<float> & {
    std::vector<float> &made = lines[static_cast<size_t>(y)];
    if (!made.empty())
      return made;
    made.resize(lineSize);
    const In *source = rgb + (static_cast<size_t>(from.Top + y) * static_cast<size_t>(width) + static_cast<size_t>(from.Left)) * 3;
    for (size_t x = 0; x < columns.size(); ++x)
      for (size_t c = 0; c < 3; ++c) {
        float sum = 0;
        for (size_t k = 0; k < 4; ++k)
          sum += static_cast<float>(source[static_cast<size_t>(columns[x].At[k]) * 3 + c]) * columns[x].By[k];
        made[x * 3 + c] = sum;
      }
    return made;
  };
  int done = 0; // source rows before it are not needed any more
  for (size_t y = 0; y < rows.size(); ++y) {
    const Taps &taps = rows[y];
    std::array<const float *, 4> sources;
    for (size_t k = 0; k < 4; ++k)
      sources[k] = line(taps.At[k]).data();
    for (size_t i = 0; i < lineSize; ++i) {
      float sum = 0;
      for (size_t k = 0; k < 4; ++k)
        sum += sources[k][i] * taps.By[k];
      put(y * lineSize + i, sum);
    }
    for (; done < taps.At[0]; ++done)
      lines[static_cast<size_t>(done)] = {};
  }
}

} // namespace

void resizeBicubic(const uint8_t *rgb, int width, const Rect &from, int resizedWidth, int resizedHeight, const Rect &part,
                   uint8_t *out) {
  interpolate(rgb, width, from, resizedWidth, resizedHeight, part,
              [out](size_t at, float sum) { out[at] = static_cast<uint8_t>(std::clamp(std::nearbyint(sum), 0.0f, 255.0f)); });
}

void resizeBicubic(const uint8_t *rgb, int width, int height, int resizedWidth, int resizedHeight, float *out) {
  interpolate(rgb, width, {0, 0, width, height}, resizedWidth, resizedHeight, {0, 0, resizedWidth, resizedHeight},
              [out](size_t at, float sum) { out[at] = sum; });
}

void resizeBicubic(const float *rgb, int width, int height, int resizedWidth, int resizedHeight, float *out) {
  interpolate(rgb, width, {0, 0, width, height}, resizedWidth, resizedHeight, {0, 0, resizedWidth, resizedHeight},
              [out](size_t at, float sum) { out[at] = sum; });
}

} // namespace vcc::runtime::data
