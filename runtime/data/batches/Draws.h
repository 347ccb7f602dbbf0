// SPDX-License-Identifier: Apache-2.0
//
// Counter-based draws of the data side. A stream is named by what it is for and by numbers (step
// and place, or epoch and position), so that a draw depends on nothing that happened before it.
// SplitMix64 (Steele, Lea, Flood, 2014).
#ifndef VCC_RUNTIME_DATA_BATCHES_DRAWS_H
#define VCC_RUNTIME_DATA_BATCHES_DRAWS_H

#include <cstdint>
#include <initializer_list>

namespace vcc::runtime::data {

/// What a stream of draws decides. The values are part of what makes a run repeatable: never
/// renumber.
enum class Purpose : uint64_t {
  Order = 1,
  Replacement = 2,
  Frames = 3,
  Crop = 4,
  Flip = 5,
  Prompt = 6,
  Turn = 7,
  Caption = 8,
  Shuffle = 9,
  Branches = 10,
  Weighted = 11,
  TurnOrder = 12,
  Synthetic = 13
};

inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

class Draws {
public:
  Draws(uint64_t seed, Purpose purpose, uint64_t first, uint64_t second) {
    State = seed;
    for (uint64_t word : {static_cast<uint64_t>(purpose), first, second})
      State = mix(State + 0x9e3779b97f4a7c15ull) ^ mix(word + 0x632be59bd9b4e019ull);
  }

  uint64_t next() { return mix(State += 0x9e3779b97f4a7c15ull); }
  /// Uniform in [0, count); count > 0.
  uint64_t below(uint64_t count) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * count) >> 64);
  }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
  uint64_t State;
};

} // namespace vcc::runtime::data
#endif
