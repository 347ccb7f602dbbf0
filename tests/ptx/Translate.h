// SPDX-License-Identifier: Apache-2.0
//
// PTX as C++ for this machine: what a GPU would compile, compiled for the host. Each instruction that LLVM writes for this project's
// kernels has one meaning here; any other is an error with its text.
#ifndef VCC_TESTS_PTX_TRANSLATE_H
#define VCC_TESTS_PTX_TRANSLATE_H

#include "tests/ptx/Text.h"

namespace vcc::ptx {

/// The functions in the module's order, and `vcc_ptx_entries` and `vcc_ptx_tables`, each with an empty one at its end. Throws std::runtime_error.
std::string translate(const Module &module);

} // namespace vcc::ptx
#endif
