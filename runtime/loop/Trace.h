// SPDX-License-Identifier: Apache-2.0
//
// Where a number that is not finite arose: a function walked again launch by launch, with its inputs as they are.
#ifndef VCC_RUNTIME_LOOP_TRACE_H
#define VCC_RUNTIME_LOOP_TRACE_H

#include "runtime/loop/StageProgram.h"

#include <cstdint>
#include <string>

namespace vcc::runtime {

struct NotFinite {
  uint64_t launch = UINT64_MAX; // its number in the function
  std::string clause;           // names the launch; empty where none wrote such a number
};

/// The first launch which writes such a number here. Where the function joins ranks, all of them must call this together: it
/// is then walked to its end, however early the number is found. Overwrites the arena and the function's outputs and adds to
/// gradients, so the run must end after it.
NotFinite whereNotFinite(StageProgram &program, const manifest::Function &function);

} // namespace vcc::runtime
#endif
