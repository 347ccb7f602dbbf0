// SPDX-License-Identifier: Apache-2.0
//
// What a user would be told when something fails.
#ifndef VCC_TESTS_RUNTIME_TOLD_H
#define VCC_TESTS_RUNTIME_TOLD_H

#include "runtime/program/Failure.h"

#include <string>

namespace vcc::runtime::test {

/// The exit code, what is said and the help of the Failure that `act` ends with; "nothing" where it ends well.
template <typename F>
std::string told(F &&act) {
  try {
    act();
  } catch (const Failure &failure) {
    return std::to_string(int(failure.code())) + " " + failure.what() + "\n" + failure.help();
  }
  return "nothing";
}

} // namespace vcc::runtime::test
#endif
