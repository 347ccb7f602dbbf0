// SPDX-License-Identifier: Apache-2.0
//
// Every vector-Jacobian product against central finite differences in f64, on random shapes. The seed of a failing case is
// in its message; VCC_TEST_SEED repeats it.
#include "GradientCases.h"
#include "RandomGraph.h"
#include "tests/Seed.h"

#include "compiler/differentiate/Passes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

double lossOf(interpret::Interpreter &Run) {
  EXPECT_TRUE(succeeded(Run.run("micro_main")));
  const tg::HostTensor *Loss = Run.output("loss");
  EXPECT_NE(Loss, nullptr);
  return Loss ? Loss->Data[0] : NAN;
}

// The norm of the difference between the gradient and its finite differences over the norm of the gradient.
double relativeError(interpret::Interpreter &Run, const GraphText &Graph) {
  constexpr double Step = 1e-5;
  double Difference = 0, Norm = 0;
  std::vector<std::vector<double>> Gradients;
  lossOf(Run);
  for (const auto &[Name, Values] : Graph.weights()) {
    // A weight that the loss does not use has none: its differences must be zero as well.
    auto Gradient = Run.state("gradient:" + Name);
    Gradients.push_back(Gradient ? Gradient->Data : std::vector<double>(Values.size()));
  }
  for (size_t W = 0; W < Gradients.size(); ++W) {
    const auto &[Name, Values] = Graph.weights()[W];
    for (size_t I = 0; I < Values.size(); ++I) {
      std::vector<double> Moved = Values;
      Moved[I] = Values[I] + Step;
      (void)Run.setState(Name, Moved);
      double Above = lossOf(Run);
      Moved[I] = Values[I] - Step;
      (void)Run.setState(Name, Moved);
      double Slope = (Above - lossOf(Run)) / (2 * Step);
      Difference += (Slope - Gradients[W][I]) * (Slope - Gradients[W][I]);
      Norm += Slope * Slope;
    }
    (void)Run.setState(Name, Values);
  }
  return std::sqrt(Difference) / (std::sqrt(Norm) + 1e-3);
}

void checkCase(const std::string &Name, const WriteCase &Write, uint64_t Seed) {
  SCOPED_TRACE(Name + ", VCC_TEST_SEED=" + std::to_string(Seed));
  Random Source(Seed);
  GraphText Graph(Source);
  Write(Source, Graph);
  OwningOpRef<ModuleOp> Module = parse(Graph.text());
  ASSERT_TRUE(Module) << Graph.text();
  SmallVector<std::string> Unreached;
  ASSERT_TRUE(succeeded(differentiate::differentiateStage(*Module, Unreached))) << Graph.text();
  for (const std::string &Path : Unreached)
    EXPECT_FALSE(Module->lookupSymbol("gradient:" + Path));
  interpret::Interpreter Run(*Module);
  Graph.feed(Run);
  EXPECT_LE(relativeError(Run, Graph), 1e-6) << Graph.text();
}

} // namespace

TEST(Gradients, AgreeWithFiniteDifferences) {
  for (const auto &[Name, Write] : gradientCases())
    for (uint64_t I = 0; I < 12 && !HasFatalFailure(); ++I)
      checkCase(Name, Write, chosenSeed() + I);
}

// Many operations together: sums of cotangents, weights used often, dead ends.
TEST(Gradients, OfRandomGraphsAgreeWithFiniteDifferences) {
  for (uint64_t I = 0; I < 60 && !HasFailure(); ++I)
    checkCase("random graph", [](Random &R, GraphText &G) { writeRandomGraph(R, G, 14, true); }, chosenSeed() + I);
}

// The documented choices at kinks.
TEST(Gradients, AtKinks) {
  struct Kink {
    const char *Line;
    double A, B, ToA, ToB;
  };
  const Kink Kinks[] = {
      {"%y = tg.max %a, %b : tensor<f64>", 1, 1, 1, 0},
      {"%y = tg.min %a, %b : tensor<f64>", 1, 1, 1, 0},
      {"%z = tg.abs %a : tensor<f64>\n %y = tg.add %z, %b : tensor<f64>", 0, 0, 0, 1},
  };
  for (const Kink &K : Kinks) {
    std::string Text = "module { tg.state @a weight trainable : tensor<f64>\n tg.state @b weight trainable : tensor<f64>\n"
                       "func.func @forward_main() { %a = tg.read @a : tensor<f64>\n %b = tg.read @b : tensor<f64>\n";
    OwningOpRef<ModuleOp> Module = parse(Text + K.Line + "\n tg.loss %y : tensor<f64>\n return } }");
    ASSERT_TRUE(Module);
    SmallVector<std::string> Unreached;
    ASSERT_TRUE(succeeded(differentiate::differentiateStage(*Module, Unreached)));
    interpret::Interpreter Run(*Module);
    (void)Run.setState("a", K.A);
    (void)Run.setState("b", K.B);
    lossOf(Run);
    EXPECT_EQ(Run.state("gradient:a")->Data[0], K.ToA) << K.Line;
    EXPECT_EQ(Run.state("gradient:b")->Data[0], K.ToB) << K.Line;
  }
}

// Equal extremes of a reduction share its cotangent equally.
TEST(Gradients, EqualExtremesShare) {
  OwningOpRef<ModuleOp> Module = parse(R"(module {
    tg.state @a weight trainable : tensor<4xf64>
    func.func @forward_main() {
      %a = tg.read @a : tensor<4xf64>
      %y = tg.reduce %a {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<4xf64>) -> tensor<f64>
      tg.loss %y : tensor<f64>
      return
    } })");
  ASSERT_TRUE(Module);
  SmallVector<std::string> Unreached;
  ASSERT_TRUE(succeeded(differentiate::differentiateStage(*Module, Unreached)));
  interpret::Interpreter Run(*Module);
  (void)Run.setState("a", {3, 1, 3, 2});
  lossOf(Run);
  EXPECT_EQ(Run.state("gradient:a")->Data, (std::vector<double>{0.5, 0, 0.5, 0}));
}
