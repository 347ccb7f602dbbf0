// SPDX-License-Identifier: Apache-2.0
//
// The arena and the outputs start as zeros, so that the first launch after which they hold such a number wrote it.
#include "runtime/loop/Trace.h"

#include "runtime/program/Phase.h"

#include <fmt/format.h>

#include <cstring>

namespace vcc::runtime {

namespace {

/// The bits that arithmetic makes: infinities and the quiet NaN without a payload. The arena holds integers too, and small
/// negative ones have the bits of other NaNs.
bool isMade(uint32_t bits) {
  bits &= 0x7fffffffu;
  return bits == 0x7f800000u || bits == 0x7fc00000u;
}

/// The first such value among 32-bit words; zero where there is none.
float firstIn(const std::byte *data, uint64_t bytes) {
  for (uint64_t at = 0; at + sizeof(uint32_t) <= bytes; at += sizeof(uint32_t)) {
    uint32_t bits;
    std::memcpy(&bits, data + at, sizeof bits);
    if (!isMade(bits))
      continue;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  return 0;
}

} // namespace

NotFinite whereNotFinite(StageProgram &program, const manifest::Function &function) {
  const StageMemory &memory = program.memory();
  uint64_t arena = memory.size(VCC_REGION_ARENA);
  if (arena)
    std::memset(memory.base(VCC_REGION_ARENA), 0, arena);
  for (const manifest::Port &port : function.outputs)
    std::memset(program.at(port), 0, size_t(port.bytes()));
  bool together = program.device().joinsRanks(function.index);
  NotFinite found;
  program.device().walk(function.index, [&](const VccLaunch &launch, uint64_t number, uint64_t count) {
    if (!found.clause.empty())
      return true; // the other ranks wait for this one further on
    float value = arena ? firstIn(memory.base(VCC_REGION_ARENA), arena) : 0;
    std::string target = "a value within it";
    for (const manifest::Port &port : function.outputs)
      if (value == 0 && port.dtype == DType::F32)
        if ((value = firstIn(program.at(port), uint64_t(port.bytes()))) != 0)
          target = fmt::format("`{}`", port.name);
    if (value == 0)
      return true;
    found = {number, fmt::format("; it arose in `{}` ({}, launch {} of {}), which made {} {}", launch.name ? launch.name : "?",
                                 phaseName(launch.phase), number + 1, count, target, value)};
    return together;
  });
  return found;
}

} // namespace vcc::runtime
