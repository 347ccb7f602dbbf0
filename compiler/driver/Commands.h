// SPDX-License-Identifier: Apache-2.0
//
// The subcommands: each adds itself to the command line, and runs.
#ifndef VCC_COMPILER_DRIVER_COMMANDS_H
#define VCC_COMPILER_DRIVER_COMMANDS_H

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace vcc::driver {

/// What a parsed command line asks for; gives the exit code.
using Action = std::function<int()>;

void addCompile(CLI::App &app, Action &action, const char *executable);
void addCheck(CLI::App &app, Action &action, const char *executable);
void addPlan(CLI::App &app, Action &action, const char *executable);
void addShow(CLI::App &app, Action &action, const char *executable);
void addExplain(CLI::App &app, Action &action);

/// Options that every command on a recipe takes.
struct RecipeArguments {
  std::string file, stdlib;
  std::vector<std::string> defines;
  void add(CLI::App &command);
};

} // namespace vcc::driver

#endif
