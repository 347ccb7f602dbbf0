// SPDX-License-Identifier: Apache-2.0
//
// Walks the registry: every operation has a gradient or a reason, a cost, a meaning and a fusion class; every gradient has
// a finite-difference case.
#include "GradientCases.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

std::vector<RegisteredOperationName> tgOperations() {
  std::vector<RegisteredOperationName> Names;
  for (RegisteredOperationName Name : context().getRegisteredOperations())
    if (Name.getDialectNamespace() == "tg")
      Names.push_back(Name);
  return Names;
}

// Declarations and terminators compute nothing.
bool isStructure(RegisteredOperationName Name) {
  return Name.hasInterface<SymbolOpInterface>() || Name.hasTrait<OpTrait::IsTerminator>();
}

} // namespace

TEST(Registry, EveryOperationIsComplete) {
  int Seen = 0;
  for (RegisteredOperationName Name : tgOperations()) {
    if (isStructure(Name))
      continue;
    ++Seen;
    std::string Text = Name.getStringRef().str();
    EXPECT_TRUE(Name.hasInterface<tg::CostOpInterface>()) << Text;
    EXPECT_TRUE(Name.hasInterface<tg::MeaningOpInterface>()) << Text;
    EXPECT_TRUE(Name.hasInterface<tg::FusionClassInterface>()) << Text;
    ASSERT_TRUE(Name.hasInterface<tg::DifferentiableOpInterface>()) << Text;
    bool HasReason = !Name.getInterface<tg::DifferentiableOpInterface>()->getNoGradientReason().empty();
    EXPECT_NE(HasReason, gradientCases().count(Text) == 1)
        << Text << (HasReason ? " says why it has no gradient but has a gradient case" : " has no gradient case");
  }
  EXPECT_GE(Seen, 50);
  EXPECT_LE(Seen, 80);
}

// Costs of every operation that occurs in a gradient case are numbers, and bytes at least those of the result.
TEST(Registry, CostsAreCounted) {
  Random Source(7);
  for (const auto &[Name, Write] : gradientCases()) {
    GraphText Graph(Source);
    Write(Source, Graph);
    OwningOpRef<ModuleOp> Module = parse(Graph.text());
    ASSERT_TRUE(Module) << Graph.text();
    Module->walk([&](tg::CostOpInterface Op) {
      EXPECT_GE(Op.flops(), 0);
      int64_t Results = 0;
      for (Type T : Op->getResultTypes())
        Results += tg::tensorBytes(T);
      EXPECT_GE(Op.bytes(), Results);
    });
  }
}
