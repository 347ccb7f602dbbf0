// SPDX-License-Identifier: Apache-2.0
//
// `vcc plan`: what each stage of a recipe costs on a device.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"
#include "compiler/driver/Recipe.h"
#include "compiler/plan/Report.h"
#include "dsl/diag/Engine.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace vcc::driver {

namespace {
struct PlanArguments {
  RecipeArguments recipe;
  std::string device = "h200", stage, attention = "cudnn", lora = "apart";
  int64_t count = 1;
  bool json = false, time = false;
};
} // namespace

static int unknownDevice(const std::string &name) {
  std::vector<std::string> known = plan::deviceNames();
  // A card of several memories is mostly asked for without one.
  auto sized = llvm::find_if(known, [&](const std::string &each) { return llvm::StringRef(each).starts_with_insensitive(name + "-"); });
  std::string near = sized != known.end() ? *sized : diag::nearest(name, known);
  llvm::errs() << "error: no device `" << name << "`" << (near.empty() ? "" : "; did you mean `" + near + "`?") << "\n"
               << "  the table has " << llvm::join(known, ", ") << "\n";
  return kUsage;
}

/// What `vcc compile` will say: all but f32 is of GPUs alone.
static void warnOfPrecision(const elaborate::Json &stage, const plan::Device &device) {
  const std::string precision = stage["precision"];
  if (device.name == "cpu" && precision != "f32")
    llvm::errs() << "warning: stage `" << stage["name"].get<std::string>() << "` says `precision " << precision
                 << "`, which no program for the CPU computes in: `vcc compile` refuses it (V0307)\n";
}

/// What the program will say once it is started by so many ranks.
static void warnOfRanks(const elaborate::Json &stage, int64_t count) {
  std::string name = stage["name"];
  if (count > 1 && !stage.contains("parallel"))
    llvm::errs() << "warning: stage `" << name << "` is compiled for one rank, and its program refuses " << count
                 << ": say `parallel { shard: none }` in the stage\n";
  else if (stage.contains("parallel") && stage["parallel"].value("ranks", count) != count)
    llvm::errs() << "warning: stage `" << name << "` is compiled for " << stage["parallel"]["ranks"].dump() << " ranks, and its program refuses " << count
                 << ": plan it with `--count " << stage["parallel"]["ranks"].dump() << "`, or compile it for " << count << "\n";
}

static int runPlan(const PlanArguments &arguments, const char *executable) {
  auto device = plan::findDevice(arguments.device);
  if (!device)
    return unknownDevice(arguments.device);
  auto levels = levelOptions(arguments.recipe, arguments.stage, executable);
  if (!levels)
    return kUsage;
  levels->cuda = device->name != "cpu"; // what is planned is the program for that device
  levels->splitAttention = arguments.attention == "split";
  levels->joinLowRank = arguments.lora == "joined";
  levels->time = arguments.time;
  std::vector<plan::StageReport> stages;
  int code = planStages(
      *levels,
      [&](const PlannedStage &stage) {
        warnOfRanks(stage.manifest, arguments.count);
        warnOfPrecision(stage.manifest, *device);
        stages.push_back(plan::reportStage(stage.f32, stage.narrow, stage.manifest, *device));
      },
      llvm::errs());
  if (code != kDone)
    return code;
  plan::ReportOptions report{llvm::sys::path::filename(arguments.recipe.file).str(), *device, arguments.count};
  if (arguments.json)
    llvm::outs() << plan::toJson(stages, report).dump(1) << "\n";
  else
    plan::print(stages, report, llvm::outs());
  return kDone;
}

void addPlan(CLI::App &app, Action &action, const char *executable) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App *command =
      app.add_subcommand("plan", "parameters, operations, memory and least times of each stage on a device");
  arguments->recipe.add(*command);
  command->add_option("--stage", arguments->stage, "only this stage, by name or number");
  command->add_option("--device", arguments->device, llvm::join(plan::deviceNames(), ", "))->capture_default_str();
  command->add_option("--attention", arguments->attention, "of the programs that are planned: cudnn or split, as of vcc compile --target=cuda")
      ->check(CLI::IsMember({"cudnn", "split"}))
      ->capture_default_str();
  command->add_option("--lora", arguments->lora, "of the programs that are planned: apart or joined, as of vcc compile --target=cuda")
      ->check(CLI::IsMember({"apart", "joined"}))
      ->capture_default_str();
  command->add_option("--count", arguments->count, "how many devices share a step's samples; each holds all weights")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "all numbers, for programs");
  command->add_flag("--time", arguments->time, "print seconds, memory and operations of each level and pass");
  command->callback([arguments, &action, executable] {
    action = [arguments, executable]() -> int { return runPlan(*arguments, executable); };
  });
}

} // namespace vcc::driver
