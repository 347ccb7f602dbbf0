// SPDX-License-Identifier: Apache-2.0
//
// Static placement of buffers with known lifetimes in one block of memory.
#ifndef VCC_COMPILER_SCHEDULE_ARENAPACKING_H
#define VCC_COMPILER_SCHEDULE_ARENAPACKING_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>

namespace vcc::schedule {

struct Lifetime {
  int64_t size = 0;       ///< bytes
  int first = 0, last = 0; ///< launches, both included
  int64_t offset = 0;     ///< found by packArena
};

/// Gives each buffer an offset (a multiple of `alignment`) such that no two that live at one time overlap. Long lives are stacked, the
/// longest lowest; short ones go above them, largest first, each into the tightest gap between short ones that live at the same time
/// (after Pisarchyk and Lee, 2020). Takes time in proportion to the number of buffers, but for a logarithm. Returns the size needed.
int64_t packArena(llvm::MutableArrayRef<Lifetime> buffers, int64_t alignment);

/// The largest sum of sizes that live at one time, each rounded up to `alignment`.
int64_t largestLiveSum(llvm::ArrayRef<Lifetime> buffers, int64_t alignment);

} // namespace vcc::schedule

#endif
