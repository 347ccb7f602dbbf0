// SPDX-License-Identifier: Apache-2.0
//
// Philox4x32-10 against the known-answer vectors of Random123 (kat_vectors), and the forms of a draw against each other.
#include "GraphText.h"

#include "dialects/tg/Philox.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

TEST(Philox, KnownAnswers) {
  struct Answer {
    uint32_t Counter[4], Key[2], Words[4];
  };
  const Answer Answers[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Answer &A : Answers) {
    uint32_t Words[4];
    tg::philox(A.Counter, A.Key, Words);
    for (int I = 0; I < 4; ++I)
      EXPECT_EQ(Words[I], A.Words[I]);
  }
}

TEST(Philox, SiteHashIsFnv1a) {
  EXPECT_EQ(tg::siteHash(""), 0x811c9dc5u);
  EXPECT_EQ(tg::siteHash("a"), 0xe40c292cu);
  EXPECT_EQ(tg::siteHash("foobar"), 0xbf9cf968u);
}

// An operation's draw is the one its description says, element by element.
TEST(Philox, OperationFollowsItsCounters) {
  OwningOpRef<ModuleOp> Module = parse(R"(module { func.func @f() {
    %rng = tg.input "rng" : tensor<4xi32>
    %u = tg.random_uniform %rng {site = #tg.site<"a.drop">} : (tensor<4xi32>) -> tensor<3x2x5xf32>
    %n = tg.random_normal %rng {site = #tg.site<"a.drop">} : (tensor<4xi32>) -> tensor<3x10xf32>
    tg.output "u", %u : tensor<3x2x5xf32>
    tg.output "n", %n : tensor<3x10xf32>
    return } })");
  ASSERT_TRUE(Module);
  interpret::Interpreter Run(*Module);
  tg::HostTensor Rng({4}, IntegerType::get(&context(), 32));
  Rng.Data = {-5, 17, 3, 40};
  Run.setInput("rng", Rng);
  ASSERT_TRUE(succeeded(Run.run("f")));
  for (uint32_t Sample = 0; Sample < 3; ++Sample)
    for (uint32_t Inner = 0; Inner < 10; ++Inner) {
      uint32_t Counter[4] = {Inner, 40 + Sample, 3, tg::siteHash("a.drop")}, Key[2] = {uint32_t(-5), 17}, Words[4];
      tg::philox(Counter, Key, Words);
      double U0 = (Words[0] >> 8) / 16777216.0, U1 = (Words[1] >> 8) / 16777216.0;
      EXPECT_EQ(Run.output("u")->Data[Sample * 10 + Inner], U0);
      EXPECT_NEAR(Run.output("n")->Data[Sample * 10 + Inner],
                  std::sqrt(-2 * std::log(1 - U0)) * std::cos(2 * M_PI * U1), 1e-12);
    }
}

TEST(Philox, MomentsAreRight) {
  OwningOpRef<ModuleOp> Module = parse(R"(module { func.func @f() {
    %rng = tg.input "rng" : tensor<4xi32>
    %u = tg.random_uniform %rng {site = #tg.site<"u">} : (tensor<4xi32>) -> tensor<100x400xf32>
    %n = tg.random_normal %rng {site = #tg.site<"n">} : (tensor<4xi32>) -> tensor<100x400xf32>
    tg.output "u", %u : tensor<100x400xf32>
    tg.output "n", %n : tensor<100x400xf32>
    return } })");
  ASSERT_TRUE(Module);
  interpret::Interpreter Run(*Module, tg::Precision::F32);
  tg::HostTensor Rng({4}, IntegerType::get(&context(), 32));
  Run.setInput("rng", Rng);
  ASSERT_TRUE(succeeded(Run.run("f")));
  auto Moments = [](const tg::HostTensor &X) {
    double Sum = 0, Squares = 0;
    for (double V : X.Data) {
      Sum += V;
      Squares += V * V;
    }
    double Mean = Sum / double(X.size());
    return std::pair(Mean, Squares / double(X.size()) - Mean * Mean);
  };
  EXPECT_NEAR(Moments(*Run.output("u")).first, 0.5, 0.01);
  EXPECT_NEAR(Moments(*Run.output("u")).second, 1.0 / 12, 0.005);
  EXPECT_NEAR(Moments(*Run.output("n")).first, 0.0, 0.03);
  EXPECT_NEAR(Moments(*Run.output("n")).second, 1.0, 0.05);
}
