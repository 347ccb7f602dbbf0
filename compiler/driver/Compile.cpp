// SPDX-License-Identifier: Apache-2.0
//
// `vcc compile`, and the arguments that it shares with `vcc check`.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"
#include "compiler/driver/Recipe.h"

#include "llvm/Support/raw_ostream.h"

namespace vcc::driver {

void RecipeArguments::add(CLI::App &command) {
  command.add_option("FILE", file, "the recipe")->required();
  command.add_option("-D", defines, "name=expression: replaces a const of the recipe")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command.add_option("--stdlib", stdlib, "the folder of the standard library");
}

std::optional<dsl::Options> sourceOptions(const RecipeArguments &arguments,
                                          const char *executable) {
  dsl::Options options;
  options.File = arguments.file;
  for (const std::string &define : arguments.defines) {
    size_t split = define.find('=');
    if (split == std::string::npos || split == 0) {
      llvm::errs() << "error: -D " << define << ": write -D name=value\n";
      return std::nullopt;
    }
    options.Defines.push_back({define.substr(0, split), define.substr(split + 1)});
  }
  auto stdlib = findStdlib(arguments.stdlib, executable);
  if (!stdlib) {
    llvm::errs() << "error: the standard library is not "
                 << (arguments.stdlib.empty() ? "beside vcc" : "in " + arguments.stdlib)
                 << " (no prelude.vcs there)\n";
    return std::nullopt;
  }
  options.StdlibDir = *stdlib;
  return options;
}

std::optional<LevelOptions> levelOptions(const RecipeArguments &arguments, const std::string &stage, const char *executable) {
  auto source = sourceOptions(arguments, executable);
  if (!source)
    return std::nullopt;
  LevelOptions levels;
  levels.source = *source;
  levels.stage = stage;
  levels.executable = executable;
  return levels;
}

/// Says why where a target has no such level.
static bool acceptsLevel(bool cuda, llvm::StringRef level) {
  if (cuda && level == "llvm")
    llvm::errs() << "error: --target=cuda has no level `llvm`\nhelp: --emit=kernels and --emit=asm (PTX) are beside it\n";
  else if (!cuda && (level == "resources" || level == "object"))
    llvm::errs() << "error: level `" << level << "` is of --target=cuda alone\nhelp: for the CPU there are --emit=llvm and --emit=asm\n";
  else
    return true;
  return false;
}

/// Says why where an option is given that the target has no use for.
static bool acceptsOption(llvm::StringRef option, bool given, llvm::StringRef target, bool isTarget, llvm::StringRef help) {
  if (!given || isTarget)
    return true;
  llvm::errs() << "error: " << option << " is of --target=" << target << " alone\nhelp: " << help << "\n";
  return false;
}

/// An object is no text: it goes to a file that is named, or into a pipe that is asked for.
static bool acceptsOutput(const LevelOptions &levels) {
  if (levels.last != Level::Object || !(levels.output.empty() || (levels.output == "-" && llvm::outs().is_displayed())))
    return true;
  llvm::errs() << "error: --emit=object makes an object file, which is no text to print\nhelp: name the file by -o, as in `-o train.o`\n";
  return false;
}

void addCompile(CLI::App &app, Action &action, const char *executable) {
  struct Arguments {
    RecipeArguments recipe;
    LevelOptions levels;
    std::string emit, target = "cpu", attention, lora;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App *command = app.add_subcommand("compile", "compile a recipe to a training program");
  arguments->recipe.add(*command);
  command->add_option("-o", arguments->levels.output,
                      "the file to write; train.bin unless --emit prints (--emit=object needs it)");
  CLI::Option *cpu = command->add_option("--cpu", arguments->levels.cpu, "with --target=cpu: native, x86-64-v2, x86-64-v3 or x86-64-v4")
                         ->capture_default_str();
  command->add_option("--target", arguments->target, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--attention", arguments->attention, "with --target=cuda: cudnn (the default; what it cannot do is split) or split")
      ->check(CLI::IsMember({"cudnn", "split"}));
  command->add_option("--lora", arguments->lora, "with --target=cuda: apart (the default: products of its own) or joined (first ones with each other, second ones with the frozen weights')")
      ->check(CLI::IsMember({"apart", "joined"}));
  command->add_option("--emit", arguments->emit, "stop at a level and print it")
      ->check(CLI::IsMember({"vcs", "graph", "step", "plan", "kernels", "llvm", "asm", "resources", "object"}));
  command
      ->add_option("--dump-levels", arguments->levels.dumpFolder,
                   "write every level passed to this folder")
      ->type_name("DIR");
  command->add_option("--stage", arguments->levels.stage,
                      "with --emit: only this stage, by name or number (a program or object has all)");
  command->add_flag("--time", arguments->levels.time, "print seconds, memory and operations of each level and pass");
  command->callback([arguments, cpu, &action, executable] {
    action = [arguments, cpuGiven = cpu->count() > 0, executable]() -> int {
      arguments->levels.cuda = arguments->target == "cuda";
      bool cuda = arguments->levels.cuda;
      if (!acceptsOption("--cpu", cpuGiven, "cpu", !cuda, "a program for CUDA has kernels for every GPU from the A100 on, and none for the CPU") ||
          !acceptsLevel(cuda, arguments->emit) ||
          !acceptsOption("--attention", !arguments->attention.empty(), "cuda", cuda, "on the CPU attention is always generated code") ||
          !acceptsOption("--lora", !arguments->lora.empty(), "cuda", cuda, "on the CPU frozen weights are packed, and LoRA's products are always apart"))
        return kUsage;
      arguments->levels.joinLowRank = arguments->lora == "joined";
      arguments->levels.splitAttention = arguments->attention == "split";
      auto source = sourceOptions(arguments->recipe, executable);
      if (!source)
        return kUsage;
      arguments->levels.source = *source;
      arguments->levels.executable = executable;
      if (!arguments->emit.empty())
        arguments->levels.last = *parseLevel(arguments->emit);
      if (!acceptsOutput(arguments->levels))
        return kUsage;
      return runLevels(arguments->levels, llvm::outs(), llvm::errs());
    };
  });
}

} // namespace vcc::driver
