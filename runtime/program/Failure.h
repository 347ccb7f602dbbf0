// SPDX-License-Identifier: Apache-2.0
//
// How the runtime stops: an exit code of the published list and a sentence. Thrown anywhere, printed once by vcc_main.
#ifndef VCC_RUNTIME_PROGRAM_FAILURE_H
#define VCC_RUNTIME_PROGRAM_FAILURE_H

#include <stdexcept>
#include <string>
#include <utility>

namespace vcc::runtime {

enum class Exit : int {
  Done = 0,
  Usage = 1,
  Recipe = 2,
  Data = 3,     // data or weights
  Memory = 4,   // does not fit
  Policy = 5,   // stopped by policy: a non-finite value
  Machine = 6,  // the machine lacks what the program needs
  Internal = 70,
  Preempted = 75 // saved, run again to go on
};

/// A fault told in words: what is there and what was needed; `help` says what to do, where that is known.
class Failure : public std::runtime_error {
public:
  Failure(Exit code, const std::string &message, std::string help = {})
      : std::runtime_error(message), Code(code), Help(std::move(help)) {}
  Exit code() const { return Code; }
  const std::string &help() const { return Help; }

private:
  Exit Code;
  std::string Help;
};

} // namespace vcc::runtime
#endif
