// SPDX-License-Identifier: Apache-2.0
//
// Attention's row kernels as the runtime calls them: buffers and integers of runtime/device/cpu/Attention.cpp.
#include "tests/unit/codegen/KernelProgram.h"

#include "compiler/codegen/cpu/AttentionKernels.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace vcc;
using namespace vcc::test;

namespace {

std::string attentionText(int64_t Sk, int64_t D) {
  mlir::MLIRContext Context;
  Context.loadDialect<tg::TgDialect>();
  mlir::Location Loc = mlir::UnknownLoc::get(&Context);
  mlir::OwningOpRef<mlir::ModuleOp> Module(mlir::ModuleOp::create(Loc));
  mlir::OpBuilder B = mlir::OpBuilder::atBlockEnd(Module->getBody());
  cpu::buildAttentionKernel(B, Loc, cpu::AttentionRole::Softmax, Sk, "softmax");
  cpu::buildAttentionKernel(B, Loc, cpu::AttentionRole::Probabilities, Sk, "probabilities");
  cpu::buildAttentionKernel(B, Loc, cpu::AttentionRole::ScoreGrad, Sk, "score_grad");
  cpu::buildAttentionKernel(B, Loc, cpu::AttentionRole::Delta, D, "delta");
  std::string Text;
  llvm::raw_string_ostream Stream(Text);
  Module->print(Stream);
  return Text;
}

class Keys : public ::testing::TestWithParam<int64_t> {};

TEST_P(Keys, ForwardAndBackwardRows) {
  int64_t Sk = GetParam(), D = 24, R = 11;
  float Scale = 0.2041f;
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(attentionText(Sk, D), Cpu);
    std::vector<float> S = randomFloats(R * Sk, -20, 20), P = S, Again = S, Lse(R);
    std::vector<int32_t> Visible(R);
    for (int64_t I = 0; I < R; ++I)
      Visible[I] = int32_t(I * Sk / (R - 1)); // from none to all
    LaunchSpec Rows{{R}, {{0, {Sk}}, {0, {1}}, {0, {1}}}, {bitsOf(Scale)}, 0};
    launch(Program.find("softmax"), {P.data(), Visible.data(), Lse.data()}, Rows, R, {{P.data(), P.size() * 4}, {Lse.data(), Lse.size() * 4}});
    launch(Program.find("probabilities"), {Again.data(), Visible.data(), Lse.data()}, Rows, R, {{Again.data(), Again.size() * 4}});
    for (int64_t I = 0; I < R; ++I) {
      double Largest = -INFINITY, Sum = 0;
      for (int64_t J = 0; J < Visible[I]; ++J)
        Largest = std::max(Largest, double(S[I * Sk + J]) * Scale);
      for (int64_t J = 0; J < Visible[I]; ++J)
        Sum += std::exp(S[I * Sk + J] * double(Scale) - Largest);
      if (Visible[I])
        EXPECT_NEAR(Lse[I], Largest + std::log(Sum), 2e-6);
      else
        EXPECT_EQ(Lse[I], -INFINITY);
      for (int64_t J = 0; J < Sk; ++J) {
        double Want = J < Visible[I] ? std::exp(S[I * Sk + J] * double(Scale) - Largest) / Sum : 0;
        ASSERT_NEAR(P[I * Sk + J], Want, 2e-6) << I << ", " << J;
        ASSERT_NEAR(Again[I * Sk + J], Want, 2e-6) << I << ", " << J;
      }
    }
    std::vector<float> Out = randomFloats(R * 50, -1, 1, 2), Dout = randomFloats(R * 50, -1, 1, 3), Delta(R), Dp = randomFloats(R * Sk, -1, 1, 4), Ds = Dp;
    launch(Program.find("delta"), {Out.data(), Dout.data(), Delta.data()}, {{R}, {{0, {50}}, {0, {50}}, {0, {1}}}, {}, 0}, R, {{Delta.data(), Delta.size() * 4}});
    LaunchSpec Grads{{R}, {{0, {Sk}}, {0, {Sk}}, {0, {1}}}, {bitsOf(Scale)}, 0};
    launch(Program.find("score_grad"), {P.data(), Ds.data(), Delta.data()}, Grads, R, {{Ds.data(), Ds.size() * 4}});
    for (int64_t I = 0; I < R; ++I) {
      double Dot = 0;
      for (int64_t J = 0; J < D; ++J)
        Dot += double(Out[I * 50 + J]) * Dout[I * 50 + J];
      ASSERT_NEAR(Delta[I], Dot, 1e-5);
      for (int64_t J = 0; J < Sk; ++J)
        ASSERT_NEAR(Ds[I * Sk + J], Scale * P[I * Sk + J] * (Dp[I * Sk + J] - Delta[I]), 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, Keys, ::testing::Values(1, 3, 8, 16, 17, 56, 64, 200, 1500));

} // namespace
