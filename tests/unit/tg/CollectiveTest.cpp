// SPDX-License-Identifier: Apache-2.0
//
// Operations between ranks, with several ranks in the interpreter: a loss over gathered features is the joined batch's, and
// its gradients, added over the ranks, are those of the joined batch and agree with finite differences.
#include "GraphText.h"
#include "tests/Seed.h"

#include "compiler/differentiate/Passes.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;
using interpret::Interpreter;

namespace {

constexpr int64_t Width = 3;

/// A contrastive loss in both directions of `Rows` pairs on each of `Ranks` ranks, as a share of all pairs' mean. Labels
/// are given; `Scattered` sends the gathered keys through a sum over ranks first.
std::string contrast(int64_t Ranks, int64_t Rows, bool Scattered) {
  std::string All = std::to_string(Ranks * Rows), B = std::to_string(Rows), D = std::to_string(Width);
  std::string F = "tensor<" + B + "x" + D + "xf64>", G = "tensor<" + All + "x" + D + "xf64>";
  std::string W = "tensor<" + D + "x" + D + "xf64>", L = "tensor<" + B + "x" + All + "xf64>", N = "tensor<" + B + "xf64>";
  std::string Many = " {ranks = " + std::to_string(Ranks) + " : i64} : ";
  auto dot = [](const std::string &A, const std::string &X, int64_t At, const std::string &Types) {
    return "tg.dot_general " + A + ", " + X + " {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: " +
           std::to_string(At) + ">} : " + Types;
  };
  std::string Text = "module {\n  tg.state @w weight trainable : " + W + "\n  func.func @forward_main() {\n";
  auto line = [&](const std::string &Line) { Text += "    " + Line + "\n"; };
  line("%w = tg.read @w : " + W);
  line("%x = tg.input \"x\" : " + F);
  line("%y = tg.input \"y\" : " + F);
  line("%labels = tg.input \"labels\" : tensor<" + B + "xi32>");
  line("%f = " + dot("%x", "%w", 0, "(" + F + ", " + W + ") -> " + F));
  line("%h = tg.tanh %y : " + F);
  line("%g = " + dot("%h", "%w", 0, "(" + F + ", " + W + ") -> " + F));
  line("%keys = tg.all_gather %g" + Many + "(" + F + ") -> " + G);
  line("%queries = tg.all_gather %f" + Many + "(" + F + ") -> " + G);
  std::string Keys = "%keys";
  if (Scattered) { // the sum over ranks of equal keys, gathered again
    line("%part = tg.reduce_scatter %keys" + Many + "(" + G + ") -> " + F);
    line("%sum = tg.all_gather %part" + Many + "(" + F + ") -> " + G);
    Keys = "%sum";
  }
  line("%there = " + dot("%f", Keys, 1, "(" + F + ", " + G + ") -> " + L));
  line("%back = " + dot("%g", "%queries", 1, "(" + F + ", " + G + ") -> " + L));
  for (const char *Way : {"there", "back"}) {
    line(std::string("%") + Way + "_nll:2 = tg.cross_entropy %" + Way + ", %labels : (" + L + ", tensor<" + B + "xi32>) -> (" + N + ", " + N + ")");
    line(std::string("%") + Way + "_sum = tg.reduce %" + Way + "_nll#0 {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (" + N + ") -> tensor<f64>");
  }
  line("%both = tg.add %there_sum, %back_sum : tensor<f64>");
  line("%count = tg.constant dense<" + All + ".0> : tensor<f64>");
  line("%loss = tg.div %both, %count : tensor<f64>");
  line("tg.loss %loss : tensor<f64>");
  return Text + "    return\n  }\n}\n";
}

std::vector<double> draw(Random &Source, int64_t Count) {
  std::vector<double> Numbers(Count);
  for (double &Number : Numbers)
    Number = between(-1, 1)(Source);
  return Numbers;
}

/// Some ranks of one module, fed with their rows of the same pairs.
struct Together {
  OwningOpRef<ModuleOp> Module;
  std::vector<std::unique_ptr<Interpreter>> Ranks;

  Together(int64_t Count, int64_t Pairs, bool Scattered, const std::vector<double> &X, const std::vector<double> &Y) {
    int64_t Rows = Pairs / Count;
    Module = parse(contrast(Count, Rows, Scattered));
    SmallVector<std::string> Unreached;
    EXPECT_TRUE(Module && succeeded(differentiate::differentiateStage(*Module, Unreached)));
    MLIRContext *Context = Module->getContext();
    for (int64_t Rank = 0; Rank < Count; ++Rank) {
      auto &Run = *Ranks.emplace_back(std::make_unique<Interpreter>(*Module));
      tg::HostTensor Labels({Rows}, IntegerType::get(Context, 32));
      for (int64_t Row = 0; Row < Rows; ++Row)
        Labels.Data[Row] = static_cast<double>(Rank * Rows + Row);
      Run.setInput("labels", Labels);
      for (auto [Name, From] : {std::pair{"x", &X}, std::pair{"y", &Y}}) {
        tg::HostTensor Part({Rows, Width}, Float64Type::get(Context));
        std::copy_n(From->begin() + Rank * Part.size(), Part.size(), Part.Data.begin());
        Run.setInput(Name, Part);
      }
    }
  }

  /// The losses of all ranks together.
  double loss(const std::vector<double> &W) {
    std::vector<Interpreter *> Runs;
    for (auto &Run : Ranks) {
      EXPECT_TRUE(succeeded(Run->setState("w", W)));
      Runs.push_back(Run.get());
    }
    EXPECT_TRUE(succeeded(Interpreter::runTogether(Runs, "micro_main")));
    double Sum = 0;
    for (auto &Run : Ranks)
      Sum += Run->output("loss")->Data[0];
    return Sum;
  }

  std::vector<double> gradient() const {
    std::vector<double> Sum(Width * Width, 0);
    for (auto &Run : Ranks) {
      auto Mine = Run->state("gradient:w");
      for (auto [To, From] : llvm::zip_equal(Sum, Mine->Data))
        To += From;
    }
    return Sum;
  }
};

} // namespace

TEST(Collectives, RanksTogetherAreTheJoinedBatch) {
  uint64_t Seed = chosenSeed();
  SCOPED_TRACE("seed " + std::to_string(Seed));
  Random Source(Seed);
  constexpr int64_t Pairs = 12;
  std::vector<double> X = draw(Source, Pairs * Width), Y = draw(Source, Pairs * Width), W = draw(Source, Width * Width);
  Together Joined(1, Pairs, false, X, Y);
  double Loss = Joined.loss(W);
  std::vector<double> Gradient = Joined.gradient();
  for (int64_t Count : {2, 3, 4, 6}) {
    Together Split(Count, Pairs, false, X, Y);
    EXPECT_NEAR(Split.loss(W), Loss, 1e-12) << Count;
    for (auto [Ours, Theirs] : llvm::zip_equal(Split.gradient(), Gradient))
      EXPECT_NEAR(Ours, Theirs, 1e-12) << Count;
  }
}

TEST(Collectives, GradientsAgreeWithFiniteDifferences) {
  uint64_t Seed = chosenSeed();
  SCOPED_TRACE("seed " + std::to_string(Seed));
  Random Source(Seed);
  constexpr int64_t Pairs = 6;
  std::vector<double> X = draw(Source, Pairs * Width), Y = draw(Source, Pairs * Width), W = draw(Source, Width * Width);
  Together Split(3, Pairs, true, X, Y);
  Split.loss(W);
  std::vector<double> Gradient = Split.gradient();
  for (size_t I = 0; I < W.size(); ++I) {
    constexpr double Step = 1e-5;
    std::vector<double> Above = W, Below = W;
    Above[I] += Step;
    Below[I] -= Step;
    EXPECT_NEAR((Split.loss(Above) - Split.loss(Below)) / (2 * Step), Gradient[I], 1e-6) << I;
  }
}

// A rank alone has nobody to join.
TEST(Collectives, CountMustBeRight) {
  std::vector<double> X(2 * Width, 0.5);
  Together Split(2, 2, false, X, X);
  std::string Said;
  ScopedDiagnosticHandler Handler(Split.Module->getContext(), [&](Diagnostic &D) {
    Said += D.str();
    return success();
  });
  EXPECT_TRUE(failed(Split.Ranks[0]->run("micro_main")));
  EXPECT_NE(Said.find("joins 2 ranks but 1 runs"), std::string::npos) << Said;
}
