// SPDX-License-Identifier: Apache-2.0
//
// The draws of one random operation: rng tensor and site hash, then numbers by (inner index, sample).
#ifndef VCC_DIALECTS_TG_PHILOX_H
#define VCC_DIALECTS_TG_PHILOX_H

#include "dialects/tg/Meaning.h"

namespace vcc::tg {

/// u(word) of the dialect's description: 24 bits in [0, 1), exact in f32.
inline double uniformOf(uint32_t Word) { return (Word >> 8) * 0x1p-24; }

/// A host number as a 32-bit word: negative i32 wrap.
inline uint32_t wordOf(double Value) { return static_cast<uint32_t>(static_cast<int64_t>(Value)); }

class Draw {
public:
  Draw(const HostTensor &Rng, uint32_t SiteHash)
      : Key{wordOf(Rng.Data[0]), wordOf(Rng.Data[1])}, Step(wordOf(Rng.Data[2])), FirstSample(wordOf(Rng.Data[3])),
        SiteHash(SiteHash) {}

  void words(uint32_t Inner, uint32_t Sample, uint32_t (&Words)[4]) const {
    uint32_t Counter[4] = {Inner, FirstSample + Sample, Step, SiteHash};
    philox(Counter, Key, Words);
  }
  double uniform(uint32_t Inner, uint32_t Sample) const {
    uint32_t Words[4];
    words(Inner, Sample, Words);
    return uniformOf(Words[0]);
  }

private:
  uint32_t Key[2];
  uint32_t Step, FirstSample, SiteHash;
};

} // namespace vcc::tg

#endif
