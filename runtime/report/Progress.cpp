// SPDX-License-Identifier: Apache-2.0
//
// The bar, the lines and the log's step objects.
#include "runtime/report/Progress.h"

#include "runtime/collectives/World.h"
#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <sys/ioctl.h>
#include <unistd.h>

namespace vcc::runtime::report {

std::string jsonOf(const StepReport &report) {
  JsonWriter writer;
  writer.beginObject().member("step", report.step);
  for (const auto &[name, value] : report.values)
    writer.member(name, float(value));
  if (!report.variants.empty()) {
    writer.key("variants").beginArray();
    for (const std::string &variant : report.variants)
      writer.value(std::string_view(variant));
    writer.endArray();
  }
  writer.member("samples", report.samples).member("tokens", report.tokens);
  writer.member("supervised", report.supervised);
  if (report.emptyClips)
    writer.member("empty_clips", *report.emptyClips);
  writer.member("seconds", std::round(report.seconds * 1e6) / 1e6);
  writer.member("data_wait", std::round(report.dataWait * 1e6) / 1e6);
  if (!report.replaced.empty()) {
    writer.key("replaced").beginArray();
    for (const auto &[sample, reason] : report.replaced) {
      writer.beginObject().member("sample", std::string_view(sample));
      writer.member("reason", std::string_view(reason)).endObject();
    }
    writer.endArray();
  }
  return writer.endObject().text();
}

std::string textOfDuration(double seconds) {
  int64_t whole = int64_t(std::max(0.0, seconds) + 0.5);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(Log &log, std::string stage, int64_t target)
    : Out(log), Stage(std::move(stage)), Target(target),
      Terminal(isatty(STDOUT_FILENO) == 1 && !launchedRanks().byLauncher) {} // mpirun's terminal is often a file's

Progress::~Progress() {
  if (Terminal)
    Out.setBar("");
}

std::string Progress::textOf(const StepReport &report) const {
  std::string values;
  for (const auto &[name, value] : report.values)
    values += fmt::format(" {} {:.4g}", name, value);
  double rate = Seconds > 0 ? double(Tokens) / Seconds : 0;
  double left = Steps ? Seconds / double(Steps) * double(Target - report.step - 1) : 0;
  return fmt::format("{} {}/{}{}{} wait {:.1f}% left {}", Stage, report.step + 1, Target, values,
                     Tokens ? fmt::format(" {:.0f} tokens/s", rate) : std::string(),
                     Seconds > 0 ? 100 * Wait / Seconds : 0, textOfDuration(left));
}

static std::string barOf(double share, const std::string &text) {
  winsize window{};
  size_t width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
  constexpr int Cells = 20;
  int full = int(share * Cells);
  std::string bar = "[" + std::string(size_t(full), '#') + std::string(size_t(Cells - full), '.') + "] " + text;
  return bar.size() < width ? bar : bar.substr(0, width - 1);
}

void Progress::show(const StepReport &report, bool due) {
  Seconds += report.seconds, Wait += report.dataWait, Tokens += report.tokens, ++Steps;
  for (const auto &[sample, reason] : report.replaced)
    Out.warn(fmt::format("{} is replaced: {}", sample, reason));
  bool last = report.step + 1 == Target;
  if (!Terminal) {
    if (last || Steps == 1 || due)
      Out.note(textOf(report));
    return;
  }
  constexpr double Often = 0.1;
  if (!last && Seconds - LastShown < Often)
    return;
  LastShown = Seconds;
  Out.setBar(barOf(double(report.step + 1) / double(std::max<int64_t>(Target, 1)), textOf(report)));
  if (last) {
    Out.setBar("");
    Out.note(textOf(report));
  }
}

} // namespace vcc::runtime::report
