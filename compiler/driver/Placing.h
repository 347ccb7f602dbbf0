// SPDX-License-Identifier: Apache-2.0
//
// What the schedule step decided, handed to the manifest.
#ifndef VCC_COMPILER_DRIVER_PLACING_H
#define VCC_COMPILER_DRIVER_PLACING_H

#include "compiler/elaborate/Manifest.h"
#include "dialects/exec/Exec.h"

namespace vcc::driver {

/// Fills offsets, types and functions of `stage`, one element of the manifest's "stages". False, with a reason, where it does not fit.
bool placeStage(exec::ModuleOp plan, const elaborate::StagePorts &ports, elaborate::Json &stage, std::string &reason);

} // namespace vcc::driver

#endif
