// SPDX-License-Identifier: Apache-2.0
//
// All kernels that the fusion makes of a stage (forward, backward, update, first values), each launch in its gpu form beside the
// interpreter.
#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "tests/unit/codegen/GridLaunches.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include <gtest/gtest.h>

using namespace vcc;

namespace {

TEST(GridStage, EveryLaunchKeepsItsMeaning) {
  std::mt19937 Random(test::chosenSeed());
  mlir::MLIRContext Context;
  Context.loadDialect<tg::TgDialect, mlir::func::FuncDialect>();
  auto Stage = mlir::parseSourceFile<mlir::ModuleOp>(VCC_STEP_MODULE, &Context);
  ASSERT_TRUE(Stage);
  mlir::PassManager Passes(&Context);
  Passes.addPass(differentiate::createDifferentiatePass());
  differentiate::buildSimplifyPipeline(Passes);
  fuse::buildFusePipeline(Passes);
  ASSERT_TRUE(mlir::succeeded(Passes.run(*Stage)));
  // Operands are positive, as what is put under a root must be, and the sums of a kernel do not cancel much.
  test::GridTrial Trial;
  Trial.Low = 0.25;
  Trial.Tolerance = 1e-4;
  int Count = 0;
  Stage->walk([&](tg::LaunchOp Launch) {
    test::tryOnGrid(Launch, Random, Trial);
    ++Count;
  });
  EXPECT_GT(Count, 20);
}

} // namespace
