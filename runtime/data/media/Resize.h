// SPDX-License-Identifier: Apache-2.0
//
// Bicubic interpolation as PyTorch's `interpolate` does it without antialiasing: four pixels each way whatever the
// scale, A = -0.75, half-pixel centres, the border repeated. Bytes are rounded to the nearest even and clamped; numbers are left
// as they come, which may lie beyond those of the source.
#ifndef VCC_RUNTIME_DATA_MEDIA_RESIZE_H
#define VCC_RUNTIME_DATA_MEDIA_RESIZE_H

#include <cstdint>

namespace vcc::runtime::data {

struct Rect {
  int Left, Top, Width, Height;
};

/// The area `from` of packed RGB (`width` pixels a row) as if resized to `resizedWidth` x `resizedHeight`; of that, the area
/// `part` is written.
void resizeBicubic(const uint8_t *rgb, int width, const Rect &from, int resizedWidth, int resizedHeight, const Rect &part,
                   uint8_t *out);

/// All of packed RGB, as numbers.
void resizeBicubic(const uint8_t *rgb, int width, int height, int resizedWidth, int resizedHeight, float *out);
void resizeBicubic(const float *rgb, int width, int height, int resizedWidth, int resizedHeight, float *out);

} // namespace vcc::runtime::data
#endif
