// SPDX-License-Identifier: Apache-2.0
//
// Where the runtime's words go: sentences for people to standard error, JSON objects to the stage's log file. Safe to
// call from any thread. A Log without a file (the default) only speaks.
#ifndef VCC_RUNTIME_REPORT_LOG_H
#define VCC_RUNTIME_REPORT_LOG_H

#include <cstdint>
#include <mutex>
#include <string>

namespace vcc::runtime::report {

class Log {
public:
  Log() = default;
  ~Log();
  Log(const Log &) = delete;
  Log &operator=(const Log &) = delete;

  /// A line for people.
  void note(const std::string &line);
  /// `warning: ` and a line for people.
  void warn(const std::string &line);

  /// Continues the JSONL file at `path` after its first `keep` bytes; what lay behind them belongs to steps that will be
  /// run again. Throws Failure where the file cannot be written.
  void open(const std::string &path, int64_t keep);
  /// Appends one JSON object as one line.
  void write(const std::string &json);
  /// Brings the file to the disk and says how long it is.
  int64_t sync();

  /// From now on nothing is said to people: another rank speaks.
  void mute();

  /// Text that stands in the last line of a terminal (the progress bar); other lines are printed above it.
  void setBar(const std::string &bar);

private:
  void print(const std::string &line);
  std::mutex Mutex;
  std::string Bar;
  bool Muted = false;
  int File = -1;
  std::string Path;
  int64_t Length = 0;
};

} // namespace vcc::runtime::report
#endif
