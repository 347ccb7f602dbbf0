// SPDX-License-Identifier: Apache-2.0
//
// One stage from its graph to machine code in this process, run by the runtime's executor, against the interpreter in f64: states and
// outputs after each function agree to 1e-5 of their norm, for every CPU level and any number of threads.
#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "compiler/interpret/Interpreter.h"
#include "compiler/schedule/Passes.h"
#include "tests/unit/codegen/KernelProgram.h"
#include "tests/unit/codegen/NativeStage.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include <cmath>
#include <gtest/gtest.h>
#include <map>

using namespace vcc;

namespace {

using Numbers = std::vector<double>;

void expectClose(const Numbers &Got, const Numbers &Want, const std::string &What) {
  ASSERT_EQ(Got.size(), Want.size()) << What;
  double Error = 0, Norm = 0;
  for (size_t I = 0; I < Got.size(); ++I) {
    Error += (Got[I] - Want[I]) * (Got[I] - Want[I]);
    Norm += Want[I] * Want[I];
  }
  EXPECT_LE(std::sqrt(Error), 1e-5 * std::sqrt(Norm) + 1e-12) << What << ", norm " << std::sqrt(Norm);
}

class NativeStep : public ::testing::Test {
protected:
  void SetUp() override {
    Context.loadDialect<tg::TgDialect, exec::ExecDialect, mlir::func::FuncDialect>();
    Graph = mlir::parseSourceFile<mlir::ModuleOp>(VCC_STEP_MODULE, &Context);
    ASSERT_TRUE(Graph);
    mlir::PassManager Passes(&Context);
    Passes.addPass(differentiate::createDifferentiatePass());
    ASSERT_TRUE(mlir::succeeded(Passes.run(*Graph)));
  }
  mlir::OwningOpRef<mlir::ModuleOp> fused() {
    mlir::OwningOpRef<mlir::ModuleOp> Copy(Graph->clone());
    mlir::PassManager Passes(&Context);
    differentiate::buildSimplifyPipeline(Passes);
    fuse::buildFusePipeline(Passes);
    EXPECT_TRUE(mlir::succeeded(Passes.run(*Copy)));
    return Copy;
  }
  void setInputs(interpret::Interpreter &Run) {
    for (auto &[Name, Data] : Inputs) {
      tg::HostTensor Tensor(Shapes.at(Name), mlir::IntegerType::get(&Context, 32));
      Tensor.Data = Data;
      Run.setInput(Name, Tensor);
    }
  }
  /// Runs all functions of a module by the interpreter; states and outputs after each.
  std::map<std::string, Numbers> interpret(mlir::ModuleOp Module) {
    interpret::Interpreter Run(Module);
    setInputs(Run);
    std::map<std::string, Numbers> Found;
    for (const std::string &Function : Functions) {
      EXPECT_TRUE(mlir::succeeded(Run.run(Function)));
      for (const std::string &Path : Run.statePaths())
        Found[Function + ": " + Path] = Run.state(Path)->Data;
      for (const std::string &Name : Run.outputNames())
        Found[Function + "/out/" + Name] = Run.output(Name)->Data;
    }
    return Found;
  }

  mlir::MLIRContext Context;
  mlir::OwningOpRef<mlir::ModuleOp> Graph;
  std::vector<std::string> Functions = {"init", "micro_main", "update", "micro_main", "update"};
  std::map<std::string, Numbers> Inputs = {{"rng", {5, 6, 7, 8}}, {"ids", {0, 3, 9, 2, 2, 11, 7, -1, 4, 1, 0, 5}},
                                           {"labels", {1, -100, 3, 9, 0, 2, 5, 5, -100, 8, 2, 7}}};
  std::map<std::string, llvm::SmallVector<int64_t>> Shapes = {{"rng", {4}}, {"ids", {2, 6}}, {"labels", {2, 6}}};
};

TEST_F(NativeStep, FusionKeepsTheMeaning) {
  auto Want = interpret(*Graph), Got = interpret(*fused());
  for (auto &[Name, Data] : Want)
    expectClose(Got[Name], Data, Name);
}

TEST_F(NativeStep, MachineCodeKeepsTheMeaning) {
  mlir::OwningOpRef<mlir::ModuleOp> Plan = fused();
  mlir::PassManager Passes(&Context);
  schedule::buildSchedulePipeline(Passes);
  ASSERT_TRUE(mlir::succeeded(Passes.run(*Plan)));
  for (const std::string &Cpu : test::runnableCpus()) {
    auto Code = llvm::cantFail(test::NativeProgram::make({*Plan}, Cpu, 2));
    for (int Threads : {1, 2}) {
      interpret::Interpreter Oracle(*Graph);
      setInputs(Oracle);
      test::NativeStage Native(Code->stage(0), schedule::planOf(*Plan), Threads);
      for (const std::string &Function : Functions) {
        for (auto &[Name, Data] : Inputs)
          if (Native.has(Function + "/in/" + Name))
            Native.write(Function + "/in/" + Name, Data);
        ASSERT_TRUE(mlir::succeeded(Oracle.run(Function)));
        ASSERT_TRUE(Native.run(Function));
        std::string Where = " after " + Function + " for " + Cpu + " with " + std::to_string(Threads) + " threads";
        for (const std::string &Path : Oracle.statePaths())
          if (Native.has(Path))
            expectClose(Native.read(Path), Oracle.state(Path)->Data, Path + Where);
        for (const std::string &Name : Oracle.outputNames())
          expectClose(Native.read(Function + "/out/" + Name), Oracle.output(Name)->Data, Name + Where);
      }
    }
  }
}

} // namespace
