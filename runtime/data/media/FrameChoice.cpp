// SPDX-License-Identifier: Apache-2.0
//
// The frame choices. Segment edges are computed as NumPy's linspace does (index times step, the end
// exact), because floor() of a rounded product is visible in the result.
#include "runtime/data/media/FrameChoice.h"
#include "runtime/data/SampleError.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace vcc::runtime::data {
namespace {

std::vector<uint32_t> segmentEdges(uint32_t count, uint32_t segments) {
  std::vector<uint32_t> edges(segments + 1);
  double step = static_cast<double>(count) / segments;
  for (uint32_t i = 0; i < segments; ++i)
    edges[i] = static_cast<uint32_t>(i * step);
  edges[segments] = count;
  return edges;
}

/// `want` different numbers below `count`, sorted: the first places of a Fisher-Yates shuffle.
std::vector<uint32_t> anyFrames(uint32_t count, uint32_t want, Draws &draws) {
  std::vector<uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0u);
  for (uint32_t i = 0; i < want; ++i)
    std::swap(all[i], all[i + draws.below(count - i)]);
  all.resize(want);
  std::sort(all.begin(), all.end());
  return all;
}

} // namespace

FrameMode frameMode(const std::string &word) {
  if (word == "random")
    return FrameMode::Random;
  if (word == "random_exclusive")
    return FrameMode::RandomExclusive;
  if (word == "middle")
    return FrameMode::Middle;
  if (word == "still")
    return FrameMode::Still;
  throw Failure(
      Exit::Data,
      fmt::format(
          "frame choice `{}` is unknown; it is one of random, random_exclusive, middle, still",
          word));
}

std::vector<uint32_t> chooseFrames(uint32_t count, uint32_t want, FrameMode mode, Draws draws) {
  if (mode == FrameMode::Still)
    return std::vector<uint32_t>(want, count / 2);
  uint32_t segments = std::min(count, want);
  std::vector<uint32_t> edges = segmentEdges(count, segments), frames;
  bool narrow = false;
  for (uint32_t i = 0; i < segments; ++i) {
    uint32_t first = edges[i], width = edges[i + 1] - edges[i];
    narrow |= width == 1;
    if (mode == FrameMode::Middle)
      frames.push_back(first + (width - 1) / 2);
    else if (mode == FrameMode::Random)
      frames.push_back(first + static_cast<uint32_t>(draws.below(width)));
    else
      frames.push_back(first + static_cast<uint32_t>(width == 1 ? 0 : draws.below(width - 1)));
  }
  if (mode == FrameMode::RandomExclusive && narrow)
    frames = anyFrames(count, segments, draws);
  frames.resize(want, frames.back());
  return frames;
}

} // namespace vcc::runtime::data
