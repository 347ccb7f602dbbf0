// SPDX-License-Identifier: Apache-2.0
//
// Lines for people and the JSONL file.
#include "runtime/report/Log.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace vcc::runtime::report {

Log::~Log() {
  if (File >= 0)
    close(File);
}

static constexpr const char *ClearLine = "\r\033[K";

void Log::print(const std::string &line) {
  if (!Bar.empty())
    std::fputs(ClearLine, stdout);
  std::fprintf(stdout, "%s\n%s", line.c_str(), Bar.c_str());
  std::fflush(stdout);
}

void Log::mute() {
  std::lock_guard lock(Mutex);
  Muted = true;
}

void Log::note(const std::string &line) {
  std::lock_guard lock(Mutex);
  if (Muted)
    return;
  print(line);
}

void Log::warn(const std::string &line) {
  std::lock_guard lock(Mutex);
  if (Muted)
    return;
  if (!Bar.empty()) {
    std::fputs(ClearLine, stdout);
    std::fflush(stdout);
  }
  std::fprintf(stderr, "warning: %s\n", line.c_str());
  std::fputs(Bar.c_str(), stdout);
  std::fflush(stdout);
}

void Log::setBar(const std::string &bar) {
  std::lock_guard lock(Mutex);
  if (Muted)
    return;
  if (!Bar.empty())
    std::fputs(ClearLine, stdout);
  Bar = bar;
  std::fputs(Bar.c_str(), stdout);
  std::fflush(stdout);
}

[[noreturn]] static void failLog(const std::string &path) {
  throw Failure(Exit::Data, fmt::format("cannot write the log `{}`: {}", path, std::strerror(errno)));
}

void Log::open(const std::string &path, int64_t keep) {
  std::lock_guard lock(Mutex);
  if (File >= 0)
    close(File);
  Path = path;
  File = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (File < 0)
    failLog(path);
  off_t length = lseek(File, 0, SEEK_END);
  if (length < keep)
    throw Failure(Exit::Data, fmt::format("the log `{}` has {} bytes, but {} when the checkpoint was saved", path, length, keep),
                  "put the log back, or train anew with `--resume never`");
  Length = keep;
  if (ftruncate(File, Length) != 0 || lseek(File, Length, SEEK_SET) < 0)
    failLog(path);
}

void Log::write(const std::string &json) {
  std::lock_guard lock(Mutex);
  if (File < 0)
    return;
  std::string line = json + "\n";
  for (size_t done = 0; done < line.size();) {
    ssize_t written = ::write(File, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      failLog(Path);
    done += size_t(written);
  }
  Length += int64_t(line.size());
}

int64_t Log::sync() {
  std::lock_guard lock(Mutex);
  if (File >= 0 && fsync(File) != 0)
    failLog(Path);
  return Length;
}

} // namespace vcc::runtime::report
