// SPDX-License-Identifier: Apache-2.0
//
// All kernels that the fusion makes of a stage (forward, backward, update, first values), each launch in its gpu form beside the
// interpreter.
#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "compiler/precision/Passes.h"
#include "tests/Seed.h"
#include "tests/unit/codegen/GridLaunches.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include <gtest/gtest.h>

using namespace vcc;

namespace {

enum class Types { F32, BF16, F16 };

void tryStage(Types In, test::GridTrial Trial) {
  bool Narrow = In != Types::F32;
  std::mt19937 Random(test::chosenSeed());
  mlir::MLIRContext Context;
  Context.loadDialect<tg::TgDialect, mlir::func::FuncDialect>();
  auto Stage = mlir::parseSourceFile<mlir::ModuleOp>(VCC_STEP_MODULE, &Context);
  ASSERT_TRUE(Stage);
  mlir::PassManager Passes(&Context);
  differentiate::buildSimplifyPipeline(Passes);
  if (Narrow)
    precision::buildNarrowPipeline(Passes, In == Types::F16);
  Passes.addPass(differentiate::createDifferentiatePass());
  differentiate::buildSimplifyPipeline(Passes);
  if (Narrow)
    precision::buildKeepGradientsPipeline(Passes);
  fuse::buildFusePipeline(Passes);
  ASSERT_TRUE(mlir::succeeded(Passes.run(*Stage)));
  int Count = 0, Halves = 0;
  Stage->walk([&](tg::LaunchOp Launch) {
    test::tryOnGrid(Launch, Random, Trial);
    ++Count;
    Halves += llvm::any_of(Launch->getOperandTypes(), [&](mlir::Type T) {
      mlir::Type Element = mlir::getElementTypeOrSelf(T);
      return In == Types::F16 ? Element.isF16() : Element.isBF16();
    });
  });
  EXPECT_GT(Count, 20);
  EXPECT_GE(Halves, Narrow ? 5 : 0);
}

// Operands are positive, as what is put under a root must be, and the sums of a kernel do not cancel much.
TEST(GridStage, EveryLaunchKeepsItsMeaning) {
  test::GridTrial Trial;
  Trial.Low = 0.25;
  Trial.Tolerance = 1e-4;
  tryStage(Types::F32, Trial);
}

// A number beside the middle of two bf16 may be rounded the other way; what is subtracted from it does not know.
TEST(GridStage, EveryLaunchInBf16KeepsItsMeaning) {
  test::GridTrial Trial;
  Trial.Low = 0.25;
  Trial.Tolerance = 2e-2;
  Trial.HalfTolerance = 2e-2;
  tryStage(Types::BF16, Trial);
}

TEST(GridStage, EveryLaunchInF16KeepsItsMeaning) {
  test::GridTrial Trial;
  Trial.Low = 0.25;
  Trial.Tolerance = 2e-2;
  Trial.HalfTolerance = 2e-2;
  tryStage(Types::F16, Trial);
}

} // namespace
