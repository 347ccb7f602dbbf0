// SPDX-License-Identifier: Apache-2.0
//
// What a step's phases are called in traces and profiles.
#ifndef VCC_RUNTIME_PROGRAM_PHASE_H
#define VCC_RUNTIME_PROGRAM_PHASE_H

#include "runtime/program/Abi.h"

namespace vcc::runtime {

inline const char *phaseName(uint32_t phase) {
  switch (phase) {
  case VCC_PHASE_FORWARD:
    return "forward";
  case VCC_PHASE_BACKWARD:
    return "backward";
  case VCC_PHASE_UPDATE:
    return "update";
  case VCC_PHASE_EVALUATE:
    return "evaluation";
  default:
    return "init";
  }
}

} // namespace vcc::runtime
#endif
