// SPDX-License-Identifier: Apache-2.0
//
// From the arguments of a command to the options of the front end.
#ifndef VCC_COMPILER_DRIVER_RECIPE_H
#define VCC_COMPILER_DRIVER_RECIPE_H

#include "compiler/driver/Commands.h"
#include "compiler/driver/Levels.h"
#include "compiler/driver/Stdlib.h"

namespace vcc::driver {

/// Nothing, with a message, where they make no sense.
std::optional<dsl::Options> sourceOptions(const RecipeArguments &arguments, const char *executable);

/// The same as options of a run through all levels, of one stage where one is named.
std::optional<LevelOptions> levelOptions(const RecipeArguments &arguments, const std::string &stage, const char *executable);

} // namespace vcc::driver

#endif
