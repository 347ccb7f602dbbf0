// SPDX-License-Identifier: Apache-2.0
//
// From the command line to stages.
#include "runtime/loop/Main.h"

#include "runtime/device/cpu/Features.h"
#include "runtime/loop/Overview.h"
#include "runtime/loop/Ranks.h"
#include "runtime/program/Failure.h"
#include "runtime/program/Suggest.h"
#include "runtime/report/History.h"
#include "runtime/weights/Files.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>
#include <thread>

namespace vcc::runtime {

using manifest::Stage;

static void checkProgram(const VccProgram &program) {
  if (program.magic != VCC_ABI_MAGIC || program.version != VCC_ABI_VERSION)
    throw Failure(Exit::Internal, fmt::format("the program has ABI {:#x} version {}, but this runtime {:#x} version {}",
                                              program.magic, program.version, VCC_ABI_MAGIC, VCC_ABI_VERSION));
}

static const Stage *stageNamed(const manifest::Manifest &manifest, const std::string &which) {
  if (const Stage *stage = manifest.findStage(which))
    return stage;
  std::vector<std::string> names;
  for (const Stage &stage : manifest.stages)
    names.push_back(stage.name);
  throw Failure(Exit::Usage, fmt::format("recipe `{}` has no stage `{}`{}", manifest.recipe, which, didYouMean(which, names)),
                fmt::format("its stages are {}", fmt::join(names, ", ")));
}

/// All stages, or those of a list with commas, in the order given.
static std::vector<const Stage *> chosenStages(const manifest::Manifest &manifest, const std::string &which) {
  std::vector<const Stage *> chosen;
  if (which.empty() || which == "all") {
    for (const Stage &stage : manifest.stages)
      chosen.push_back(&stage);
    return chosen;
  }
  if (manifest.findStage(which)) // a stage's name may hold a comma
    return {stageNamed(manifest, which)};
  for (size_t begin = 0; begin <= which.size();) {
    size_t end = std::min(which.find(',', begin), which.size());
    chosen.push_back(stageNamed(manifest, which.substr(begin, end - begin)));
    begin = end + 1;
  }
  return chosen;
}

static const VccStage &tableOf(const manifest::Manifest &manifest, const VccProgram &program, const Stage &stage) {
  size_t index = size_t(&stage - manifest.stages.data());
  if (index >= program.stage_count || stage.name != program.stages[index].name)
    throw Failure(Exit::Internal, fmt::format("stage `{}` of the manifest is not in the program's table", stage.name));
  return program.stages[index];
}

/// The page over all stages that have a log.
static void writeReport(const manifest::Manifest &manifest, const std::string &out) {
  std::vector<std::pair<std::string, report::History>> stages;
  for (const Stage &stage : manifest.stages)
    if (auto history = report::readHistory(StageFolder(out, stage.name).log); !history.empty())
      stages.emplace_back(stage.name, std::move(history));
  if (!stages.empty())
    report::writePage(out + "/report.html", manifest.recipe, stages);
}

static std::vector<const Stage *> stagesToTrain(const manifest::Manifest &manifest, const Options &options) {
  std::vector<const Stage *> chosen = chosenStages(manifest, options.stage);
  if (chosen.size() > 1 && !options.profileFile.empty())
    throw Failure(Exit::Usage, fmt::format("{} stages would write their profiles to one file, `{}`", chosen.size(), options.profileFile),
                  "`--profile` without a file writes one into each stage's folder");
  return chosen;
}

static std::vector<const Stage *> stagesToEvaluate(const manifest::Manifest &manifest, const Options &options) {
  const std::string &name = options.evaluation;
  std::vector<std::string> names;
  std::vector<const Stage *> found;
  for (const Stage *stage : chosenStages(manifest, options.stage)) {
    bool has = false;
    for (const manifest::Evaluation &evaluation : stage->evaluations) {
      names.push_back(evaluation.name);
      has |= name == "all" || name == evaluation.name;
    }
    if (has)
      found.push_back(stage);
  }
  if (found.empty())
    throw Failure(Exit::Usage, fmt::format("there is no evaluation `{}`{}", name, didYouMean(name, names)),
                  names.empty() ? std::string() : fmt::format("there are {}", fmt::join(names, ", ")));
  return found;
}

static Exit trainStages(const RunContext &context, const std::vector<const Stage *> &chosen) {
  for (const Stage *stage : chosen)
    StageRun(context, *stage, tableOf(context.manifest, context.program, *stage)).checkEvaluations();
  bool trained = false;
  for (const Stage *stage : chosen) {
    StageRun run(context, *stage, tableOf(context.manifest, context.program, *stage));
    StageEnd end = run.train();
    trained |= end != StageEnd::AlreadyDone;
    if (context.world.isFirst()) {
      if (end == StageEnd::AlreadyDone)
        std::printf("stage %s: %s%s\n", stage->name.c_str(), run.toldBefore().c_str(), context.options.profile ? ", so that there is nothing to profile" : "");
      writeReport(context.manifest, context.options.out);
    }
    if (end == StageEnd::Preempted)
      return Exit::Preempted;
  }
  if (context.options.profile && !trained)
    throw Failure(Exit::Usage, chosen.size() == 1 ? fmt::format("stage `{}` has no step left to profile", chosen.front()->name)
                                                  : fmt::format("none of the {} stages has a step left to profile", chosen.size()),
                  "another --out, or `--resume never`, trains from step 0");
  return Exit::Done;
}

static Exit evaluateStages(const RunContext &context, const std::vector<const Stage *> &chosen) {
  for (const Stage *stage : chosen)
    StageRun(context, *stage, tableOf(context.manifest, context.program, *stage)).evaluateOnly(context.options.evaluation);
  return Exit::Done;
}

static void checkDeviceOptions(const manifest::Manifest &manifest, const Options &options) {
  for (auto [given, name] : {std::pair(!options.cudaLibraries.empty(), "--cuda-libs"), std::pair(options.measureProducts, "--measure-products")})
    if (given && manifest.target != "cuda")
      throw Failure(Exit::Usage, fmt::format("{} is of programs for a GPU, but this one was compiled for the CPU", name),
                    "compile it by `vcc compile --target=cuda`");
}

/// Each of the folders that --cuda-libs names.
static void checkLibraries(const std::string &folders) {
  for (size_t begin = 0, end = 0; begin < folders.size(); begin = end + 1) {
    end = std::min(folders.find(':', begin), folders.size());
    std::string folder = folders.substr(begin, end - begin);
    std::error_code code;
    if (!folder.empty() && !std::filesystem::is_directory(folder, code))
      throw Failure(Exit::Usage, fmt::format("--cuda-libs names `{}`, which is {}", folder, exists(folder) ? "no folder" : "not there"),
                    "name the folders that hold NVIDIA's libraries, divided by colons; without --cuda-libs they are looked for where CUDA_HOME, the "
                    "loader and Python have them");
  }
}

/// What is wrong with the call itself is found before `world` is made: no rank waits for another that was not started, or refuses too.
static Exit act(const std::vector<std::string> &arguments, const VccProgram &program, const Sources &sources, std::unique_ptr<World> &world,
                const MakeWorld &makeWorld, const MakeDevice &makeDevice) {
  checkProgram(program);
  std::string_view json(program.manifest, program.manifest_bytes);
  Options options = parseOptions(arguments);
  Launched launched = launchedRanks();
  auto say = [&](const std::string &text) {
    if (launched.rank == 0)
      std::fwrite(text.data(), 1, text.size(), stdout);
    return Exit::Done;
  };
  if (options.action == Options::Action::Help)
    return say(helpText("train.bin"));
  if (options.action == Options::Action::Manifest)
    return say(std::string(json) + "\n");
  manifest::Manifest manifest = manifest::parseManifest(json);
  if (options.action == Options::Action::Version)
    return say(versionOf(manifest));
  if (options.action == Options::Action::Overview)
    return say(overviewOf(manifest, options));
  checkDeviceOptions(manifest, options);
  bool trains = options.action != Options::Action::Evaluate;
  std::vector<const Stage *> chosen = trains ? stagesToTrain(manifest, options) : stagesToEvaluate(manifest, options);
  auto checkCount = [&](int ranks) {
    for (const Stage *stage : chosen)
      checkRanks(*stage, ranks, trains);
  };
  if (launched.size > 1)
    checkCount(launched.size);
  world = makeWorld();
  checkCount(std::max(world->size(), launched.size));
  checkFeatures(manifest.features, manifest.cpu);
  checkLibraries(options.cudaLibraries);
  if (options.threads == 0)
    options.threads = usableThreads(*world);
  RunContext context{manifest, program, options, sources, *world, makeDevice};
  return trains ? trainStages(context, chosen) : evaluateStages(context, chosen);
}

/// Several ranks mostly fail alike, and one of them is to say it: the first at once, which ends the others; another only
/// where the first has not failed.
static void waitForFirst() {
  int rank = launchedRanks().rank;
  if (rank == 0)
    return;
  std::signal(SIGTERM, SIG_DFL);
  std::this_thread::sleep_for(std::chrono::milliseconds(1000 + 200 * std::min(rank, 20)));
}

static int fail(const World *world, Exit code, const std::string &message, const std::string &help) {
  std::fflush(stdout);
  int ranks = world ? std::max(world->size(), launchedRanks().size) : launchedRanks().size, rank = launchedRanks().rank;
  if (ranks > 1)
    waitForFirst();
  std::fprintf(stderr, "error: %s%s\n", rank ? fmt::format("rank {}: ", rank).c_str() : "", message.c_str());
  if (!help.empty())
    std::fprintf(stderr, "help: %s\n", help.c_str());
  return int(code);
}

int runProgram(const std::vector<std::string> &arguments, const VccProgram &program, const Sources &sources,
               const MakeWorld &makeWorld, const MakeDevice &makeDevice) {
  std::unique_ptr<World> world;
  int code = 0;
  try {
    code = int(act(arguments, program, sources, world, makeWorld, makeDevice));
    std::fflush(stdout);
    return code;
  } catch (const Failure &failure) {
    code = fail(world.get(), failure.code(), failure.what(), failure.help());
  } catch (const std::bad_alloc &) {
    code = fail(world.get(), Exit::Memory, "out of memory", "");
  } catch (const std::exception &error) {
    code = fail(world.get(), Exit::Internal, error.what(), "this is a bug of the runtime");
  }
  if (world && world->size() > 1)
    world->abort(code); // the others may wait for this one
  return code;
}

} // namespace vcc::runtime
