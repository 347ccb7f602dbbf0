// SPDX-License-Identifier: Apache-2.0
//
// A keyed permutation of 0..n-1 without a table: a balanced Feistel network over the next even
// number of bits, walked until it falls back below n (Black and Rogaway, 2002). It is how an
// epoch's order is known in O(1) at any place.
#ifndef VCC_RUNTIME_DATA_BATCHES_PERMUTATION_H
#define VCC_RUNTIME_DATA_BATCHES_PERMUTATION_H

#include "runtime/data/batches/Draws.h"

#include <array>

namespace vcc::runtime::data {

class Permutation {
public:
  /// A permutation of `count` > 0 numbers, one per stream of draws.
  Permutation(uint64_t count, Draws key);

  uint64_t at(uint64_t index) const;
  /// at(inverse(v)) == v.
  uint64_t inverse(uint64_t value) const;

private:
  static constexpr int Rounds = 8;
  uint64_t forward(uint64_t value) const;
  uint64_t backward(uint64_t value) const;
  uint64_t round(int which, uint64_t half) const { return mix(half ^ Keys[which]) & Mask; }

  uint64_t Count;
  int HalfBits;
  uint64_t Mask;
  std::array<uint64_t, Rounds> Keys;
};

} // namespace vcc::runtime::data
#endif
