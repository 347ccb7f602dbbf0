// SPDX-License-Identifier: Apache-2.0
//
// `vcc check`: everything that can be known about a recipe without running it.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"
#include "compiler/driver/Recipe.h"

#include "llvm/Support/raw_ostream.h"

namespace vcc::driver {

void addCheck(CLI::App &app, Action &action, const char *executable) {
  struct Arguments {
    RecipeArguments recipe;
    std::string data, weights;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App *command = app.add_subcommand(
      "check", "check a recipe; with folders, also that the files it names are there");
  arguments->recipe.add(*command);
  command->add_option("--data", arguments->data, "the folder of annotations, media and tokenizers")
      ->type_name("DIR");
  command->add_option("--weights", arguments->weights, "the folder of weights")->type_name("DIR");
  command->callback([arguments, &action, executable] {
    action = [arguments, executable]() -> int {
      auto levels = levelOptions(arguments->recipe, "", executable);
      if (!levels)
        return kUsage;
      levels->source.DataDir = arguments->data;
      levels->source.WeightsDir = arguments->weights;
      int code = checkRecipe(*levels, llvm::outs(), llvm::errs());
      if (code == kDone)
        llvm::outs() << arguments->recipe.file << ": no faults found\n";
      return code;
    };
  });
}

} // namespace vcc::driver
