// SPDX-License-Identifier: Apache-2.0
//
// The Feistel rounds of Permutation and their cycle walk; the walk ends because the network is
// itself a permutation.
#include "runtime/data/batches/Permutation.h"

#include <bit>
#include <utility>

namespace vcc::runtime::data {

Permutation::Permutation(uint64_t count, Draws key) : Count(count) {
  int bits = count <= 1 ? 1 : std::bit_width(count - 1);
  HalfBits = (bits + 1) / 2;
  Mask = (uint64_t(1) << HalfBits) - 1;
  for (uint64_t &k : Keys)
    k = key.next();
}

uint64_t Permutation::forward(uint64_t value) const {
  uint64_t left = value >> HalfBits, right = value & Mask;
  for (int r = 0; r < Rounds; ++r) {
    left ^= round(r, right);
    std::swap(left, right);
  }
  return (left << HalfBits) | right;
}

uint64_t Permutation::backward(uint64_t value) const {
  uint64_t left = value >> HalfBits, right = value & Mask;
  for (int r = Rounds - 1; r >= 0; --r) {
    std::swap(left, right);
    left ^= round(r, right);
  }
  return (left << HalfBits) | right;
}

uint64_t Permutation::at(uint64_t index) const {
  do
    index = forward(index);
  while (index >= Count);
  return index;
}

uint64_t Permutation::inverse(uint64_t value) const {
  do
    value = backward(value);
  while (value >= Count);
  return value;
}

} // namespace vcc::runtime::data
