// SPDX-License-Identifier: Apache-2.0
//
// The check after each level lets its operations stand and names the first that may not.
#include "compiler/driver/Levels.h"
#include "dialects/exec/Exec.h"
#include "dialects/tg/Tg.h"
#include "dialects/vcs/Vcs.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace vcc;
using driver::Level;

namespace {

const char *Graph = R"(module attributes {tg.stage = "s"} {
  tg.state @w weight : tensor<4xf32>
  func.func @forward_main() { %0 = tg.read @w : tensor<4xf32>  tg.output "loss.a", %0 : tensor<4xf32>  return }
})";

const char *Step = R"(module attributes {tg.stage = "s"} {
  tg.state @w weight : tensor<4xf32>
  func.func @micro_main() { %0 = tg.read @w : tensor<4xf32>  tg.output "loss.a", %0 : tensor<4xf32>  return }
})";

const char *Kernel = R"(  tg.kernel @copy(%x: tensor<f32>) attributes {columns = 1 : i64, kernel_class = #tg.kernel_class<flat>,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} { tg.yield %x : tensor<f32> }
)";

const char *Plan = R"(  exec.module @s sizes {weights = 0, state = 0, arena = 0, io = 64, constant = 0} {
    exec.buffer @out io at 0 size 16 : tensor<4xf32> why "output"
    exec.function @micro_main { exec.fill @out size 16 forward "x" flops 0 bytes 16 }
  })";

const char *Arithmetic = "module { %0 = arith.constant 1 : i32 }";

/// The fault of the check, empty where the module passes.
class LevelChecks : public ::testing::Test {
protected:
  LevelChecks() {
    context.loadDialect<vcs::VcsDialect, tg::TgDialect, exec::ExecDialect, func::FuncDialect, arith::ArithDialect,
                        LLVM::LLVMDialect>();
  }

  std::string faultOf(const std::string &text, Level level) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    if (!module)
      return "does not parse";
    std::string fault;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      fault = diagnostic.str();
      return success();
    });
    bool passes = succeeded(driver::verifyLevel(*module, level));
    EXPECT_EQ(passes, fault.empty());
    return fault;
  }

  MLIRContext context;
};

} // namespace

TEST_F(LevelChecks, VcsHoldsDeclarationsOnly) {
  EXPECT_EQ(faultOf("module { vcs.module @m {} }", Level::Vcs), "");
  EXPECT_EQ(faultOf(Graph, Level::Vcs), "'tg.state' op may not stand at level `vcs`");
  EXPECT_EQ(faultOf(Arithmetic, Level::Vcs), "'arith.constant' op may not stand at level `vcs`");
}

TEST_F(LevelChecks, GraphHoldsTheClosedSetWithoutKernels) {
  EXPECT_EQ(faultOf(Graph, Level::Graph), "");
  EXPECT_EQ(faultOf("module { vcs.module @m {} }", Level::Graph), "'vcs.module' op may not stand at level `graph`");
  EXPECT_EQ(faultOf("module {\n" + std::string(Kernel) + "}", Level::Graph), "'tg.kernel' op may not stand at level `graph`");
  EXPECT_EQ(faultOf(Arithmetic, Level::Graph), "'arith.constant' op may not stand at level `graph`");
}

TEST_F(LevelChecks, StepHoldsNoForwardFunction) {
  EXPECT_EQ(faultOf(Step, Level::Step), "");
  EXPECT_EQ(faultOf(Graph, Level::Step), "'func.func' op may not stand at level `step`");
  EXPECT_EQ(faultOf("module {\n" + std::string(Kernel) + "}", Level::Step), "'tg.kernel' op may not stand at level `step`");
  EXPECT_EQ(faultOf("module {\n" + std::string(Plan) + "}", Level::Step), "'exec.module' op may not stand at level `step`");
}

TEST_F(LevelChecks, PlanHoldsLaunchesAndKernels) {
  std::string kernels = "module {\n" + std::string(Kernel) + Plan + "}";
  EXPECT_EQ(faultOf(kernels, Level::Plan), "");
  EXPECT_EQ(faultOf(Step, Level::Plan), "'tg.state' op may not stand at level `plan`");
  EXPECT_EQ(faultOf("module { func.func @micro_main() { return } }", Level::Plan), "'func.func' op may not stand at level `plan`");
}

TEST_F(LevelChecks, KernelsHoldNoTensorsAndLlvmOnlyItself) {
  EXPECT_EQ(faultOf(Arithmetic, Level::Kernels), "");
  EXPECT_EQ(faultOf("module {\n" + std::string(Kernel) + "}", Level::Kernels), "'tg.kernel' op may not stand at level `kernels`");
  EXPECT_EQ(faultOf("module {\n" + std::string(Plan) + "}", Level::Kernels), "'exec.module' op may not stand at level `kernels`");
  EXPECT_EQ(faultOf("module { llvm.func @f() }", Level::Llvm), "");
  EXPECT_EQ(faultOf("module { func.func private @f() }", Level::Llvm), "'func.func' op may not stand at level `llvm`");
  EXPECT_EQ(faultOf(Arithmetic, Level::Llvm), "'arith.constant' op may not stand at level `llvm`");
}

TEST_F(LevelChecks, LevelsHaveNames) {
  for (const char *name : {"vcs", "graph", "step", "plan", "kernels", "llvm", "asm", "program"}) {
    auto level = driver::parseLevel(name);
    ASSERT_TRUE(level) << name;
    EXPECT_EQ(driver::levelName(*level), name);
  }
  EXPECT_FALSE(driver::parseLevel("fused"));
}
