// SPDX-License-Identifier: Apache-2.0
//
// The trace of a profile: complete events in microseconds since the first profiled step began. Tracks: the loop with its
// functions and waits, the launches of each phase, then one for each thread of the data path. The sums of the printed tables
// stand beside the events, under `profile`, which viewers pass over.
#include "runtime/loop/Profiler.h"
#include "runtime/program/Json.h"
#include "runtime/weights/Files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace vcc::runtime {

namespace {

class TraceText {
public:
  explicit TraceText(int64_t begin) : Begin(begin) {}

  void name(const char *what, int thread, const std::string &text) {
    start();
    fmt::format_to(out(), R"({{"ph":"M","pid":1,"tid":{},"name":"{}","args":{{"name":{}}}}})", thread, what, quotedJson(text));
  }
  void order(int thread) {
    start();
    fmt::format_to(out(), R"({{"ph":"M","pid":1,"tid":{},"name":"thread_sort_index","args":{{"sort_index":{}}}}})", thread, thread);
  }
  /// `arguments` is JSON, empty where there are none.
  void event(int thread, const std::string &name, int64_t from, int64_t to, const std::string &arguments) {
    start();
    fmt::format_to(out(), R"({{"ph":"X","pid":1,"tid":{},"ts":{},"dur":{},"name":{}{}{}}})", thread, microseconds(from - Begin),
                   microseconds(to - from), quotedJson(name), arguments.empty() ? "" : R"(,"args":)", arguments);
  }
  std::string &text() { return Text; }

private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(Text); }
  void start() {
    Text += First ? "\n" : ",\n";
    First = false;
  }
  /// Exact, so that events touch where they touched.
  static std::string microseconds(int64_t nanoseconds) {
    int64_t size = std::abs(nanoseconds);
    return fmt::format("{}{}.{:03}", nanoseconds < 0 ? "-" : "", size / 1000, size % 1000);
  }

  int64_t Begin;
  bool First = true;
  std::string Text = R"({"displayTimeUnit":"ms","traceEvents":[)";
};

} // namespace

void Profiler::writeTrace(const std::string &path, const std::string &recipe) const {
  TraceText trace(Begin);
  trace.name("process_name", 0, fmt::format("{}: stage {}", recipe, Table.name));
  int next = 1;
  auto addTrack = [&](const std::string &name) {
    trace.name("thread_name", next, name);
    trace.order(next);
    return next++;
  };
  auto addSpans = [&](int thread, std::vector<report::Span> spans) {
    // Outer spans first, though inner ones end, and are taken down, before them.
    std::stable_sort(spans.begin(), spans.end(), [](const report::Span &a, const report::Span &b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    for (const report::Span &span : spans)
      if (span.begin >= Begin && span.end <= End)
        trace.event(thread, span.number < 0 ? span.what : fmt::format("{} {}", span.what, span.number), span.begin, span.end, "");
  };
  std::vector<report::Timeline::Track> tracks = Spans.tracks();
  for (const report::Timeline::Track &track : tracks)
    if (track.kind == "loop")
      addSpans(addTrack("loop"), track.spans);
  std::map<std::string, int> phases;
  for (const char *phase : {"forward", "backward", "update", "evaluation"})
    for (const Walk &walk : Walks)
      if (!phases.count(phase) && std::any_of(descriptions(walk.function).begin(), descriptions(walk.function).end(),
                                              [&](const Description &about) { return about.phase == phase; }))
        phases[phase] = addTrack(phase);
  for (const Walk &walk : Walks) {
    const auto &about = descriptions(walk.function);
    const VccFunction &function = Table.functions[walk.function];
    for (size_t i = 0; i < walk.times.size() && walk.end <= End; ++i) {
      const VccLaunch &launch = function.launches[i];
      double seconds = double(walk.times[i].end - walk.times[i].begin) / 1e9;
      trace.event(phases.at(about[i].phase), about[i].path, walk.times[i].begin, walk.times[i].end,
                  fmt::format(R"({{"kernel":{},"launch":"{}/{}","step":{},"flops":{},"bytes":{},"floor_us":{:.3f},"floor_share":{:.4f}}})",
                              quotedJson(about[i].kernel), function.name, i, walk.step, launch.flops, launch.bytes, 1e6 * about[i].floor,
                              seconds > 0 ? about[i].floor / seconds : 0));
    }
  }
  for (const report::Timeline::Track &track : tracks)
    if (track.kind != "loop")
      addSpans(addTrack(track.name), track.spans);
  JsonWriter summary;
  report::writeJson(summary, profile());
  trace.text() += "\n],\n\"profile\":" + summary.text() + "}\n";
  writeWhole(path, trace.text());
}

} // namespace vcc::runtime
