// SPDX-License-Identifier: Apache-2.0
//
// The exit codes of vcc.
#ifndef VCC_COMPILER_DRIVER_EXITCODES_H
#define VCC_COMPILER_DRIVER_EXITCODES_H

namespace vcc::driver {

inline constexpr int kDone = 0;
inline constexpr int kUsage = 1;
inline constexpr int kRecipe = 2;
inline constexpr int kInternal = 70;

} // namespace vcc::driver

#endif
