// SPDX-License-Identifier: Apache-2.0
//
// Which frames of a clip a sample sees. The clip is cut into k = min(want, count) segments at
// floor(linspace(0, count, k + 1)); each gives one frame; where the clip has fewer frames than are
// wanted, the last is repeated.
#ifndef VCC_RUNTIME_DATA_MEDIA_FRAMECHOICE_H
#define VCC_RUNTIME_DATA_MEDIA_FRAMECHOICE_H

#include "runtime/data/batches/Draws.h"

#include <cstdint>
#include <string>
#include <vector>

namespace vcc::runtime::data {

enum class FrameMode {
  Random,          ///< uniform over each segment, both ends included
  RandomExclusive, ///< the upper end left out; if a segment has one frame, k frames of the whole
                   ///< clip at random
  Middle,          ///< floor of the mean of a segment's two ends
  Still            ///< the clip's middle frame in all places
};

/// The recipe's word for a mode; throws a Failure for any other.
FrameMode frameMode(const std::string &word);

/// `want` frame numbers, never decreasing, each below `count` (> 0).
std::vector<uint32_t> chooseFrames(uint32_t count, uint32_t want, FrameMode mode, Draws draws);

} // namespace vcc::runtime::data
#endif
