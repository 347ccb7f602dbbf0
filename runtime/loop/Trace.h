// SPDX-License-Identifier: Apache-2.0
//
// Where a number that is not finite arose: a function walked again launch by launch, with its inputs as they are.
#ifndef VCC_RUNTIME_LOOP_TRACE_H
#define VCC_RUNTIME_LOOP_TRACE_H

#include "runtime/loop/StageProgram.h"

#include <string>

namespace vcc::runtime {

/// A clause that names the first launch which writes such a number, empty where none does. Overwrites the arena and the
/// function's outputs and adds to gradients, so the run must end after it.
std::string whereNotFinite(StageProgram &program, const manifest::Function &function);

} // namespace vcc::runtime
#endif
