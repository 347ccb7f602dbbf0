// SPDX-License-Identifier: Apache-2.0
//
// What `./train.bin` alone prints (stages, what trains, what each needs, what exists), and what `--version` does.
#ifndef VCC_RUNTIME_LOOP_OVERVIEW_H
#define VCC_RUNTIME_LOOP_OVERVIEW_H

#include "runtime/loop/Options.h"
#include "runtime/program/Manifest.h"

#include <string>

namespace vcc::runtime {

std::string overviewOf(const manifest::Manifest &manifest, const Options &options);

/// What tells this program from others; no machine, folder or time is in it.
std::string versionOf(const manifest::Manifest &manifest);

} // namespace vcc::runtime
#endif
