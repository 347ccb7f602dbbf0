// SPDX-License-Identifier: Apache-2.0
//
// XXH64 after its published specification (xxhash_spec.md, version 0.1.1).
#include "runtime/weights/Hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace vcc::runtime {

static constexpr uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu,
                          P3 = 0x165667B19E3779F9u, P4 = 0x85EBCA77C2B2AE63u,
                          P5 = 0x27D4EB2F165667C5u;

template <typename T>
static T load(const unsigned char *data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

static uint64_t mix(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * P2, 31) * P1;
}

Hash::Hash(uint64_t seed) : Lanes{seed + P1 + P2, seed + P2, seed, seed - P1}, Seed(seed) {}

void Hash::stripe(const unsigned char *data) {
  for (int i = 0; i < 4; ++i)
    Lanes[i] = mix(Lanes[i], load<uint64_t>(data + 8 * i));
}

Hash &Hash::update(const void *input, size_t bytes) {
  if (bytes == 0) // an empty buffer may have no address
    return *this;
  auto *data = static_cast<const unsigned char *>(input);
  Total += bytes;
  if (PendingBytes) {
    size_t taken = std::min(bytes, sizeof Pending - PendingBytes);
    std::memcpy(Pending + PendingBytes, data, taken);
    PendingBytes += taken, data += taken, bytes -= taken;
    if (PendingBytes < sizeof Pending)
      return *this;
    stripe(Pending);
    PendingBytes = 0;
  }
  for (; bytes >= sizeof Pending; data += sizeof Pending, bytes -= sizeof Pending)
    stripe(data);
  if (bytes)
    std::memcpy(Pending, data, bytes);
  PendingBytes = bytes;
  return *this;
}

uint64_t Hash::digest() const {
  uint64_t hash = Seed + P5;
  if (Total >= 32) {
    hash = std::rotl(Lanes[0], 1) + std::rotl(Lanes[1], 7) + std::rotl(Lanes[2], 12) +
           std::rotl(Lanes[3], 18);
    for (uint64_t lane : Lanes)
      hash = (hash ^ mix(0, lane)) * P1 + P4;
  }
  hash += Total;
  const unsigned char *data = Pending, *end = Pending + PendingBytes;
  for (; end - data >= 8; data += 8)
    hash = std::rotl(hash ^ mix(0, load<uint64_t>(data)), 27) * P1 + P4;
  for (; end - data >= 4; data += 4)
    hash = std::rotl(hash ^ load<uint32_t>(data) * P1, 23) * P2 + P3;
  for (; data < end; ++data)
    hash = std::rotl(hash ^ *data * P5, 11) * P1;
  hash = (hash ^ hash >> 33) * P2;
  hash = (hash ^ hash >> 29) * P3;
  return hash ^ hash >> 32;
}

std::string hexOf(uint64_t hash) { return fmt::format("{:016x}", hash); }

} // namespace vcc::runtime
