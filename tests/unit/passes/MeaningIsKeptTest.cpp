// SPDX-License-Identifier: Apache-2.0
//
// Every pass on tg keeps the meaning of a micro-step: loss and gradients of random graphs in the f64 interpreter, after
// differentiation, after simplification and after each pass of fusion. VCC_TEST_SEED repeats a run.
#include "tests/Seed.h"
#include "tests/unit/tg/GradientCases.h"
#include "tests/unit/tg/RandomGraph.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

struct Values {
  double Loss = 0;
  std::vector<std::vector<double>> Gradients;
};

Values valuesOf(ModuleOp Module, const GraphText &Graph) {
  interpret::Interpreter Run(Module);
  Graph.feed(Run);
  Values Found;
  EXPECT_TRUE(succeeded(Run.run("micro_main")));
  if (const tg::HostTensor *Loss = Run.output("loss"))
    Found.Loss = Loss->Data[0];
  for (const auto &[Name, Unused] : Graph.weights()) {
    auto Gradient = Run.state("gradient:" + Name);
    Found.Gradients.push_back(Gradient ? Gradient->Data : std::vector<double>());
  }
  return Found;
}

// The largest difference over the largest value of each tensor.
void expectSame(const Values &A, const Values &B) {
  EXPECT_NEAR(A.Loss, B.Loss, 1e-12 * (1 + std::abs(A.Loss)));
  ASSERT_EQ(A.Gradients.size(), B.Gradients.size());
  for (size_t W = 0; W < A.Gradients.size(); ++W) {
    ASSERT_EQ(A.Gradients[W].size(), B.Gradients[W].size());
    double Largest = 1e-3;
    for (double V : A.Gradients[W])
      Largest = std::max(Largest, std::abs(V));
    for (size_t I = 0; I < A.Gradients[W].size(); ++I)
      EXPECT_NEAR(A.Gradients[W][I], B.Gradients[W][I], 1e-12 * Largest);
  }
}

void dump(ModuleOp Module) {
  std::string Text;
  llvm::raw_string_ostream Stream(Text);
  Module.print(Stream);
  ADD_FAILURE() << Text;
}

using AddPass = std::function<void(OpPassManager &)>;

// The passes on tg in their order, one at a time, as for the target of even seeds or of odd ones.
std::vector<std::pair<std::string, AddPass>> passesOnTg(uint64_t Seed) {
  OpPassManager Fusion(ModuleOp::getOperationName());
  fuse::buildFusePipeline(Fusion, Seed % 2 ? fuse::FuseOptions::cuda() : fuse::FuseOptions());
  std::vector<std::pair<std::string, AddPass>> Passes = {
      {"tg-simplify", [](OpPassManager &P) { differentiate::buildSimplifyPipeline(P); }}};
  for (Pass &Each : Fusion.getPasses()) {
    std::string Flag;
    llvm::raw_string_ostream Stream(Flag);
    Each.printAsTextualPipeline(Stream);
    Passes.emplace_back(Flag, [Flag](OpPassManager &P) { (void)parsePassPipeline(Flag, P); });
  }
  return Passes;
}

void checkKept(const std::string &Name, const WriteCase &Write, uint64_t Seed) {
  SCOPED_TRACE(Name + ", VCC_TEST_SEED=" + std::to_string(Seed));
  Random Source(Seed);
  GraphText Graph(Source);
  Write(Source, Graph);
  OwningOpRef<ModuleOp> Module = parse(Graph.text());
  ASSERT_TRUE(Module) << Graph.text();
  SmallVector<std::string> Unreached;
  ASSERT_TRUE(succeeded(differentiate::differentiateStage(*Module, Unreached)));
  Values Before = valuesOf(*Module, Graph);
  for (const auto &[Flag, Add] : passesOnTg(Seed)) {
    SCOPED_TRACE("after " + Flag);
    PassManager Passes(&context());
    Add(Passes);
    ASSERT_TRUE(succeeded(Passes.run(*Module)));
    expectSame(Before, valuesOf(*Module, Graph));
    if (::testing::Test::HasFailure())
      return dump(*Module);
  }
}

class MeaningIsKept : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    static bool Registered = false;
    if (std::exchange(Registered, true))
      return;
    fuse::registerFuse();
    registerCSEPass();
    registerCanonicalizerPass();
  }
};

class MeaningOfOne : public MeaningIsKept, public ::testing::WithParamInterface<std::string> {};

} // namespace

TEST_P(MeaningOfOne, IsKeptByEveryPass) {
  const WriteCase &Write = gradientCases().at(GetParam());
  for (uint64_t I = 0; I < 8 && !HasFailure(); ++I)
    checkKept(GetParam(), Write, chosenSeed() + I);
}

// Whole graphs: 100 of them, or as many as VCC_GRAPHS says.
TEST_F(MeaningIsKept, OfRandomGraphs) {
  const char *Given = std::getenv("VCC_GRAPHS");
  uint64_t Count = Given ? std::strtoull(Given, nullptr, 10) : 100;
  for (uint64_t I = 0; I < Count && !HasFailure(); ++I)
    checkKept("random graph", [](Random &R, GraphText &G) { writeRandomGraph(R, G, 16); }, chosenSeed() + I);
}

static std::vector<std::string> caseNames() {
  std::vector<std::string> Names;
  for (const auto &[Name, Unused] : gradientCases())
    Names.push_back(Name);
  return Names;
}

INSTANTIATE_TEST_SUITE_P(Operations, MeaningOfOne, ::testing::ValuesIn(caseNames()), [](const auto &Info) {
  return Info.param.substr(3);
});
