// SPDX-License-Identifier: Apache-2.0
//
// Plans mean what their graphs mean: random graphs with gradients, fused and scheduled, run launch by launch in simulated
// regions and compared with the interpreter on the graph; and no two buffers that live at one time overlap. VCC_TEST_SEED
// repeats a run, VCC_GRAPHS sets the number of graphs.
#include "tests/Seed.h"
#include "tests/unit/fuse/Near.h"
#include "tests/unit/fuse/PlanRunner.h"
#include "tests/unit/tg/GradientCases.h"
#include "tests/unit/tg/RandomGraph.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

OwningOpRef<ModuleOp> parseAsF32(const std::string &text) {
  context().loadDialect<exec::ExecDialect>();
  return parse(std::regex_replace(text, std::regex("(x|<)f64>"), "$1f32>"));
}

void checkPlan(const WriteCase &write, uint64_t seed, double tolerance) {
  SCOPED_TRACE("VCC_TEST_SEED=" + std::to_string(seed));
  Random source(seed);
  GraphText graph(source);
  write(source, graph);
  OwningOpRef<ModuleOp> module = parseAsF32(graph.text());
  ASSERT_TRUE(module) << graph.text();
  SmallVector<std::string> unreached;
  ASSERT_TRUE(succeeded(differentiate::differentiateStage(*module, unreached)));

  interpret::Interpreter run(*module);
  graph.feed(run);
  ASSERT_TRUE(succeeded(run.run("micro_main")));

  OwningOpRef<ModuleOp> planned(module->clone());
  PassManager passes(&context());
  fuse::buildFusePipeline(passes);
  schedule::buildSchedulePipeline(passes);
  ASSERT_TRUE(succeeded(passes.run(*planned)));
  exec::ModuleOp plan = schedule::planOf(*planned);
  ASSERT_TRUE(plan);
  EXPECT_EQ(findOverlap(plan), "");

  PlanRunner simulated(*planned);
  interpret::Interpreter fresh(*module);
  graph.feed(fresh);
  for (const std::string &path : fresh.statePaths())
    simulated.set(path, fresh.state(path)->Data);
  for (const auto &[name, type] : fresh.inputsOf("micro_main")) {
    tg::HostTensor value(type);
    ASSERT_TRUE(succeeded(fresh.readInput(name, value)));
    if (simulated.has(schedule::inputBufferName("micro_main", name)))
      simulated.set(schedule::inputBufferName("micro_main", name), value.Data);
  }
  ASSERT_TRUE(succeeded(simulated.run("micro_main")));
  for (const std::string &path : run.statePaths())
    expectNear(run.state(path)->Data, simulated.get(path), tolerance, path);
  for (const std::string &name : run.outputNames())
    expectNear(run.output(name)->Data, simulated.get(schedule::outputBufferName("micro_main", name)), tolerance,
               name);
  if (::testing::Test::HasFailure())
    planned->dump();
}

} // namespace

TEST(Plan, OfEachOperationMeansTheSame) {
  for (const auto &[name, write] : gradientCases()) {
    SCOPED_TRACE(name);
    for (uint64_t i = 0; i < 5 && !HasFailure(); ++i)
      checkPlan(write, chosenSeed() + i, 1e-6); // constants such as 1 - smoothing are rounded to f32 when split
  }
}

TEST(Plan, OfRandomGraphsMeansTheSame) {
  const char *given = std::getenv("VCC_GRAPHS");
  uint64_t count = given ? std::strtoull(given, nullptr, 10) : 100;
  for (uint64_t i = 0; i < count && !HasFailure(); ++i)
    checkPlan([](Random &r, GraphText &g) { writeRandomGraph(r, g, 16); }, chosenSeed() + i, 1e-11);
}
