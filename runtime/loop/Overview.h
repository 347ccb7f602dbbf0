// SPDX-License-Identifier: Apache-2.0
//
// What `./train.bin` alone prints: stages, what trains, what each needs, what exists.
#ifndef VCC_RUNTIME_LOOP_OVERVIEW_H
#define VCC_RUNTIME_LOOP_OVERVIEW_H

#include "runtime/loop/Options.h"
#include "runtime/program/Manifest.h"

#include <string>

namespace vcc::runtime {

std::string overviewOf(const manifest::Manifest &manifest, const Options &options);

} // namespace vcc::runtime
#endif
