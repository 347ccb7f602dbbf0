// SPDX-License-Identifier: Apache-2.0
//
// Who did what when: named spans on a track per thread, for profiles. Nothing is taken down, and nothing is allocated, unless a
// timeline is given and records.
#ifndef VCC_RUNTIME_REPORT_TIMELINE_H
#define VCC_RUNTIME_REPORT_TIMELINE_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace vcc::runtime::report {

/// Nanoseconds of the steady clock.
inline int64_t nowNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Span {
  const char *what;
  int64_t number; // of the step, sample or batch; -1: none
  int64_t begin, end;
};

/// Safe from any thread.
class Timeline {
public:
  struct Track {
    std::string_view kind;
    std::string name;
    std::thread::id thread;
    std::vector<Span> spans;
  };

  void record(bool on) { Recording.store(on, std::memory_order_relaxed); }
  bool recording() const { return Recording.load(std::memory_order_relaxed); }
  /// Adds to the calling thread's track; a second thread under one name gets `<name> 2`. Names and spans' texts must outlive it.
  void add(const char *track, const Span &span);
  /// To be called when nobody adds any more, or while nothing is recorded.
  std::vector<Track> tracks() const;

private:
  std::atomic<bool> Recording{false};
  mutable std::mutex Mutex;
  std::vector<Track> Tracks;
};

/// The span of a scope. `timeline` may be null.
class Timed {
public:
  Timed(Timeline *timeline, const char *track, const char *what, int64_t number = -1)
      : Out(timeline && timeline->recording() ? timeline : nullptr), Track(track), Content{what, number, 0, 0} {
    if (Out)
      Content.begin = nowNanoseconds();
  }
  ~Timed() {
    if (!Out)
      return;
    Content.end = nowNanoseconds();
    Out->add(Track, Content);
  }
  Timed(const Timed &) = delete;
  Timed &operator=(const Timed &) = delete;

private:
  Timeline *Out;
  const char *Track;
  Span Content;
};

} // namespace vcc::runtime::report
#endif
