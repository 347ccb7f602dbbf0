// SPDX-License-Identifier: Apache-2.0
//
// One worker per run. A fault of the recipe ends with exit 2 and its diagnostics; anything that
// fails after elaboration is a fault of vcc itself: exit 70. Where a step on a stage failed, the
// stage before it is saved in the folder for temporary files.
#include "compiler/driver/Levels.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/driver/Evaluations.h"
#include "compiler/driver/ExitCodes.h"
#include "compiler/driver/Identity.h"
#include "compiler/driver/LevelRun.h"
#include "compiler/fuse/Passes.h"
#include "compiler/precision/Passes.h"
#include "compiler/recompute/Passes.h"
#include "compiler/schedule/Passes.h"
#include "dialects/vcs/Vcs.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Threading.h"
#include "llvm/Support/ToolOutputFile.h"

namespace vcc::driver {

using llvm::failed;
using llvm::failure;
using llvm::LogicalResult;
using llvm::success;

std::optional<Level> parseLevel(llvm::StringRef name) {
  for (Level level : {Level::Vcs, Level::Graph, Level::Step, Level::Plan, Level::Kernels,
                      Level::Llvm, Level::Asm, Level::Resources, Level::Object, Level::Program})
    if (levelName(level) == name)
      return level;
  return std::nullopt;
}

llvm::StringRef levelName(Level level) {
  static constexpr llvm::StringRef names[] = {"vcs",     "graph", "step", "plan",
                                              "kernels", "llvm",  "asm",  "resources", "object", "program"};
  return names[static_cast<int>(level)];
}

std::string printed(mlir::Operation *op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  op->print(stream, mlir::OpPrintingFlags().useLocalScope());
  stream << "\n";
  return text;
}

void Run::dump(llvm::StringRef name, llvm::StringRef text) {
  if (options.dumpFolder.empty())
    return;
  llvm::SmallString<256> path(options.dumpFolder);
  std::string number;
  llvm::raw_string_ostream(number) << llvm::format("%02d-", dumped++);
  llvm::sys::path::append(path, number + name.str());
  std::error_code error;
  llvm::raw_fd_ostream file(path, error);
  if (error)
    err << "warning: cannot write " << path << ": " << error.message() << "\n";
  else
    file << text;
}

/// Writes a level that is text: to the named output, else to the terminal.
int Run::write(llvm::StringRef text) {
  progress.clear();
  if (options.output.empty() || options.output == "-") {
    out << text;
    return kDone;
  }
  std::error_code error;
  llvm::ToolOutputFile file(options.output, error, llvm::sys::fs::OF_None);
  if (error) {
    err << "error: cannot write " << options.output << ": " << error.message() << "\n";
    return kUsage;
  }
  file.os() << text;
  file.keep();
  return kDone;
}

int Run::internal(llvm::StringRef what) {
  progress.clear();
  err << "internal error: " << what << "\n";
  err << "this is a fault of vcc, not of the recipe\n";
  return kInternal;
}

/// Asked first: nobody wants to compile for minutes to learn that the folder is missing.
bool Run::canWriteOutput() {
  if (options.last != Level::Program && (options.output.empty() || options.output == "-"))
    return true;
  std::string path = options.output.empty() ? "train.bin" : options.output;
  llvm::StringRef folder = llvm::sys::path::parent_path(path);
  std::error_code error;
  if (llvm::sys::fs::is_directory(path))
    error = std::make_error_code(std::errc::is_a_directory);
  else if (options.last != Level::Program && llvm::sys::fs::exists(path)) // a program replaces what is there
    error = llvm::sys::fs::access(path, llvm::sys::fs::AccessMode::Write);
  else
    error = llvm::sys::fs::access(folder.empty() ? "." : folder, llvm::sys::fs::AccessMode::Write);
  if (error)
    err << "error: cannot write " << path << ": " << error.message() << "\n";
  return !error;
}

int Run::toElaborated() {
  if (!options.dumpFolder.empty())
    if (std::error_code error = llvm::sys::fs::create_directories(options.dumpFolder)) {
      err << "error: cannot make " << options.dumpFolder << ": " << error.message() << "\n";
      return kUsage;
    }
  program = dsl::compileToVcs(context, options.source, engine);
  costs.endLevel("read, resolve, emit", {}, program ? costs.count(*program) : std::nullopt);
  if (!program || engine.hasErrors()) {
    engine.printConsole(err, err.has_colors());
    return kRecipe;
  }
  if (failed(mlir::verify(*program)) || failed(verifyLevel(*program, Level::Vcs)))
    return internal("the vcs level does not verify");
  dump("recipe.vcs.mlir", printed(*program));
  if (options.last == Level::Vcs)
    return kDone;
  elaborate::ElaborateOptions elaboration;
  elaboration.stdlibDir = options.source.StdlibDir;
  elaboration.f32Only = options.f32Only;
  elaboration.effective = options.effective;
  auto made = elaborate::elaborate(*program, engine, elaboration);
  endElaborate(made);
  engine.printConsole(err, err.has_colors());
  if (failed(made))
    return kRecipe;
  recipe = std::move(*made);
  for (auto [i, stage] : llvm::enumerate(recipe->stages)) {
    if (failed(mlir::verify(*stage.module)))
      return internal("stage `" + stage.name + "` does not verify after elaboration");
    const auto &precision = recipe->manifest["stages"][i]["precision"];
    stages.push_back({stage.name, stage.number, i, std::move(stage.module), {}, std::move(stage.effective),
                      precision == "bf16" || precision == "fp16", precision == "fp16"});
  }
  return kDone;
}

void Run::endElaborate(llvm::FailureOr<elaborate::ElaboratedRecipe> &made) {
  if (!options.time)
    return;
  uint64_t after = 0;
  if (succeeded(made))
    for (auto &stage : made->stages)
      after += *costs.count(*stage.module);
  costs.endLevel("elaborate", costs.count(*program), after);
}

bool Run::chooseStages() {
  if (options.stage.empty())
    return true;
  llvm::erase_if(stages, [&](StageRun &stage) {
    return stage.name != options.stage &&
           (!stage.number || std::to_string(*stage.number) != options.stage);
  });
  if (stages.empty()) {
    std::vector<std::string> names, known;
    for (const elaborate::Json &stage : recipe->manifest["stages"]) {
      names.push_back(stage["name"]);
      known.push_back((stage["number"].is_null() ? "" : stage["number"].dump() + " ") + stage["name"].dump());
    }
    std::string near = diag::nearest(options.stage, names);
    err << "error: the recipe has no stage `" << options.stage << "`" << (near.empty() ? "" : "; did you mean `" + near + "`?") << "\n"
        << "  its stages are " << llvm::join(known, ", ") << "\n";
    return false;
  }
  if (options.last < Level::Object)
    return true;
  err << "error: --stage goes with --emit: " << (options.last == Level::Object ? "an object" : "a program") << " has all stages of its recipe\n"
      << "help: leave it out here; the program takes it, as in `./train.bin --stage " << options.stage << "`\n";
  return false;
}

LogicalResult Run::apply(StageRun &stage, llvm::StringRef step, Pipeline build) {
  mlir::OwningOpRef<mlir::ModuleOp> before = stage.module->clone();
  auto operations = costs.count(*stage.module);
  mlir::PassManager passes(&context);
  build(passes);
  costs.watch(passes);
  // Once a step and not once a pass, which took a third of the time; `vcc-opt`, by which a step that fails is run again, does it after each.
  passes.enableVerifier(false);
  LogicalResult result = llvm::success(succeeded(passes.run(*stage.module)) && succeeded(mlir::verify(*stage.module)));
  costs.endLevel(step, operations, costs.count(*stage.module));
  if (succeeded(result))
    return success();
  progress.clear();
  llvm::SmallString<128> path;
  if (!llvm::sys::fs::createTemporaryFile("vcc-" + stage.name, "mlir", path)) {
    std::error_code error;
    llvm::raw_fd_ostream file(path, error);
    file << printed(*before);
    std::string pipeline;
    llvm::raw_string_ostream stream(pipeline);
    passes.printAsTextualPipeline(stream);
    err << "stage `" << stage.name << "` before this step is saved; run it again with\n  vcc-opt "
        << path << " --pass-pipeline='" << pipeline << "'\n";
  }
  return failure();
}

int Run::lowerStage(StageRun &stage) {
  if (failed(apply(
          stage, "simplify",
          [](mlir::OpPassManager &passes) { differentiate::buildSimplifyPipeline(passes); })) ||
      failed(verifyLevel(*stage.module, Level::Graph)))
    return internal("stage `" + stage.name + "` fails at level `graph`");
  dump(stage.name + ".graph.mlir", options.dumpFolder.empty() ? "" : printed(*stage.module));
  if (options.last == Level::Graph)
    return kDone;
  if ((stage.narrow &&
       failed(apply(stage, "narrow", [&](mlir::OpPassManager &passes) { precision::buildNarrowPipeline(passes, stage.half); }))) ||
      failed(apply(stage, "differentiate",
                   [&](mlir::OpPassManager &passes) {
                     passes.addPass(differentiate::createDifferentiatePass());
                     differentiate::buildSimplifyPipeline(passes);
                     if (stage.narrow)
                       precision::buildKeepGradientsPipeline(passes);
                   })) ||
      (recompute::hasSegments(*stage.module) &&
       failed(apply(stage, "recompute",
                    [](mlir::OpPassManager &passes) {
                      recompute::buildRecomputePipeline(passes);
                    }))) ||
      failed(verifyLevel(*stage.module, Level::Step)))
    return internal("stage `" + stage.name + "` fails at level `step`");
  dump(stage.name + ".step.mlir", options.dumpFolder.empty() ? "" : printed(*stage.module));
  stage.ports = elaborate::readPorts(*stage.module);
  if (options.last == Level::Step)
    return kDone;
  bool device = options.cuda || stage.narrow; // no CPU computes in two bytes
  if (failed(apply(stage, "fuse",
                   [&](mlir::OpPassManager &passes) {
                     fuse::Attentions split = options.splitAttention ? fuse::Attentions::All : fuse::Attentions::Unsupported;
                     fuse::FuseOptions fusion = device ? fuse::FuseOptions::cuda(split) : fuse::FuseOptions();
                     fusion.joinLowRank = device && options.joinLowRank;
                     fuse::buildFusePipeline(passes, fusion);
                   })))
    return internal("stage `" + stage.name + "` fails in fusion");
  dump(stage.name + ".fused.mlir", options.dumpFolder.empty() ? "" : printed(*stage.module));
  if (options.last == Level::Program || options.last == Level::Object)
    stage.training = identityOfTraining(*stage.module);
  if (failed(apply(stage, "schedule",
                   [&](mlir::OpPassManager &passes) {
                     schedule::ScheduleStagePassOptions scheduling;
                     scheduling.device = device;
                     schedule::buildSchedulePipeline(passes, scheduling);
                   })) ||
      failed(verifyLevel(*stage.module, Level::Plan)))
    return internal("stage `" + stage.name + "` fails at level `plan`");
  dump(stage.name + ".plan.mlir", options.dumpFolder.empty() ? "" : printed(*stage.module));
  return kDone;
}

void Run::tellStage(const std::vector<StageRun> &stages, const StageRun &stage) {
  std::string of = stages.size() > 1 ? " (" + std::to_string(&stage - stages.data() + 1) + " of " + std::to_string(stages.size()) + ")" : "";
  progress.say("stage `" + stage.name + "`" + of + (stage.narrow ? ", in two bytes" : ""));
}

int Run::lowerStages(std::vector<StageRun> &stages) {
  int code = kDone;
  for (StageRun &stage : stages) {
    tellStage(stages, stage);
    if (code = lowerStage(stage); code != kDone)
      break;
  }
  progress.clear();
  return code;
}

/// Every line behind `//`, so that the text stays a module.
static std::string commented(llvm::StringRef text) {
  std::string result;
  llvm::SmallVector<llvm::StringRef> lines;
  text.split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (llvm::StringRef line : lines)
    result += "// " + line.str() + "\n";
  return result;
}

int Run::emitStages() {
  std::string text;
  for (StageRun &stage : stages) {
    text += printed(*stage.module);
    if (options.last == Level::Plan) {
      std::string table;
      llvm::raw_string_ostream stream(table);
      schedule::printPlan(schedule::planOf(*stage.module), stream);
      text += commented(table);
    }
  }
  return write(text);
}

int Run::lower() {
  if (options.last == Level::Vcs)
    return write(printed(*program));
  if (!chooseStages())
    return kUsage;
  int code = lowerStages(stages);
  if (code == kDone)
    code = options.last <= Level::Plan ? emitStages() : generate();
  progress.clear();
  costs.print(err);
  return code;
}

/// Each stage is planned in four bytes and in two, whichever it has.
int Run::plan(llvm::function_ref<void(const PlannedStage &)> take) {
  if (!chooseStages())
    return kUsage;
  std::vector<StageRun> narrow;
  for (StageRun &stage : stages) {
    stage.narrow = false;
    narrow.push_back({stage.name, stage.number, stage.place, stage.module->clone(), {}, {}, true, stage.half});
  }
  for (auto *each : {&stages, &narrow})
    if (int code = lowerStages(*each); code != kDone)
      return code;
  if (!placeStages())
    return internal("the plan does not fit the manifest");
  for (auto [wide, small] : llvm::zip_equal(stages, narrow))
    take({schedule::planOf(*wide.module), schedule::planOf(*small.module), recipe->manifest["stages"][wide.place]});
  costs.print(err);
  return kDone;
}

int Run::check() {
  if (!options.source.DataDir.empty())
    checkEvaluations(recipe->manifest, *program, options.source.DataDir, engine, err);
  if (engine.hasErrors())
    engine.printConsole(err, err.has_colors());
  return engine.hasErrors() ? kRecipe : kDone;
}

int Run::show(llvm::function_ref<void(const elaborate::Json &)> take) {
  if (!chooseStages())
    return kUsage;
  for (StageRun &stage : stages)
    take(stage.effective);
  return kDone;
}

int runLevels(const LevelOptions &options, llvm::raw_ostream &out, llvm::raw_ostream &err) {
  LevelOptions compiled = options;
  compiled.f32Only = !options.cuda; // all that the CPU has
  Run run(compiled, out, err);
  if (!run.canWriteOutput())
    return kUsage;
  int code = run.toElaborated();
  return code == kDone ? run.lower() : code;
}

int planStages(const LevelOptions &options, llvm::function_ref<void(const PlannedStage &)> take, llvm::raw_ostream &err) {
  LevelOptions planned = options;
  planned.last = Level::Plan;
  Run run(planned, llvm::nulls(), err);
  int code = run.toElaborated();
  return code == kDone ? run.plan(take) : code;
}

int showStages(const LevelOptions &options, llvm::function_ref<void(const elaborate::Json &)> take, llvm::raw_ostream &err) {
  LevelOptions shown = options;
  shown.last = Level::Graph;
  shown.effective = true;
  Run run(shown, llvm::nulls(), err);
  int code = run.toElaborated();
  return code == kDone ? run.show(take) : code;
}

int checkRecipe(const LevelOptions &options, llvm::raw_ostream &out, llvm::raw_ostream &err) {
  LevelOptions checked = options;
  checked.last = Level::Graph;
  Run run(checked, out, err);
  int code = run.toElaborated();
  return code == kDone ? run.check() : code;
}

} // namespace vcc::driver
