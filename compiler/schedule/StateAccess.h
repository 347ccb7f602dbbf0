// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes of states by the bytes that they touch, so that those which overlap are found without looking at all.
#ifndef VCC_COMPILER_SCHEDULE_STATEACCESS_H
#define VCC_COMPILER_SCHEDULE_STATEACCESS_H

#include "dialects/exec/Exec.h"
#include "llvm/Support/MathExtras.h"
#include <map>

namespace vcc::schedule {

struct StateAccess {
  mlir::Operation *op;
  int position;
  int64_t begin, end; ///< bytes in the region
  exec::Region region;
  bool overlaps(const StateAccess &other) const {
    return region == other.region && begin < other.end && other.begin < end;
  }
};

/// In program order, and by place. Views and the flat states that hold them differ much in length, so each power of two has an
/// order of its own: within one, what starts near enough to overlap is at most twice what does.
class StateAccesses {
public:
  void add(const StateAccess &access) {
    byPlace[{access.region, classOf(access)}].insert({access.begin, all.size()});
    all.push_back(access);
  }
  const StateAccess &operator[](size_t number) const { return all[number]; }
  auto begin() const { return all.begin(); }
  auto end() const { return all.end(); }

  /// Calls `visit` for what overlaps `access` until it gives false; whether it never did.
  bool allOverlapping(const StateAccess &access, llvm::function_ref<bool(const StateAccess &)> visit) const {
    for (const auto &[place, starts] : byPlace) {
      if (place.first != access.region)
        continue;
      for (auto next = starts.lower_bound(access.begin - (int64_t(2) << place.second));
           next != starts.end() && next->first < access.end; ++next)
        if (all[next->second].overlaps(access) && !visit(all[next->second]))
          return false;
    }
    return true;
  }

private:
  static int classOf(const StateAccess &access) {
    return access.end > access.begin ? static_cast<int>(llvm::Log2_64(access.end - access.begin)) : 0;
  }

  llvm::SmallVector<StateAccess> all;
  std::map<std::pair<exec::Region, int>, std::multimap<int64_t, size_t>> byPlace;
};

} // namespace vcc::schedule

#endif
