// SPDX-License-Identifier: Apache-2.0
//
// One line on a terminal that says what is being done, and is gone when it is done. Where nobody watches nothing is written.
#ifndef VCC_COMPILER_DRIVER_PROGRESSLINE_H
#define VCC_COMPILER_DRIVER_PROGRESSLINE_H

#include "llvm/Support/raw_ostream.h"

#include <string>

namespace vcc::driver {

class ProgressLine {
public:
  explicit ProgressLine(llvm::raw_ostream &terminal) : out(terminal), watched(terminal.is_displayed()) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine &) = delete;
  ProgressLine &operator=(const ProgressLine &) = delete;

  /// Replaces what stands there.
  void say(llvm::StringRef text) {
    clear();
    if (!watched)
      return;
    shown = text.take_front(kWidest).str();
    out << shown;
    out.flush();
  }

  /// Call before anything else is written.
  void clear() {
    if (!shown.empty())
      out << '\r' << std::string(shown.size(), ' ') << '\r';
    shown.clear();
  }

private:
  static constexpr size_t kWidest = 78;
  llvm::raw_ostream &out;
  bool watched;
  std::string shown;
};

} // namespace vcc::driver

#endif
