// SPDX-License-Identifier: Apache-2.0
//
// Where the standard library lies.
#ifndef VCC_COMPILER_DRIVER_STDLIB_H
#define VCC_COMPILER_DRIVER_STDLIB_H

#include <optional>
#include <string>

namespace vcc::driver {

/// `given` if it is not empty; else ../../stdlib and ../share/vcc/stdlib beside the running
/// program, then where vcc was built. Nothing where none of these holds a prelude.
std::optional<std::string> findStdlib(const std::string &given, const char *executable);

} // namespace vcc::driver

#endif
