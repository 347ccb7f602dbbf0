// SPDX-License-Identifier: Apache-2.0
//
// Tracks by thread and name.
#include "runtime/report/Timeline.h"

#include <fmt/format.h>

namespace vcc::runtime::report {

void Timeline::add(const char *track, const Span &span) {
  std::thread::id self = std::this_thread::get_id();
  std::string_view wanted = track;
  std::lock_guard lock(Mutex);
  int others = 0;
  for (Track &known : Tracks) {
    if (known.kind != wanted)
      continue;
    if (known.thread == self) {
      known.spans.push_back(span);
      return;
    }
    ++others;
  }
  Tracks.push_back({wanted, others ? fmt::format("{} {}", wanted, others + 1) : std::string(wanted), self, {span}});
}

std::vector<Timeline::Track> Timeline::tracks() const {
  std::lock_guard lock(Mutex);
  return Tracks;
}

} // namespace vcc::runtime::report
