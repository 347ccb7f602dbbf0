// SPDX-License-Identifier: Apache-2.0
//
// XXH64 (Collet): checksums of files and fingerprints of weights. Not cryptographic.
#ifndef VCC_RUNTIME_WEIGHTS_HASH_H
#define VCC_RUNTIME_WEIGHTS_HASH_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vcc::runtime {

class Hash {
public:
  explicit Hash(uint64_t seed = 0);
  Hash &update(const void *data, size_t bytes);
  Hash &update(std::string_view text) { return update(text.data(), text.size()); }
  uint64_t digest() const;

private:
  void stripe(const unsigned char *data);
  uint64_t Lanes[4];
  uint64_t Seed, Total = 0;
  unsigned char Pending[32];
  size_t PendingBytes = 0;
};

inline uint64_t hashOf(const void *data, size_t bytes) { return Hash().update(data, bytes).digest(); }

/// Sixteen hexadecimal digits.
std::string hexOf(uint64_t hash);

} // namespace vcc::runtime
#endif
