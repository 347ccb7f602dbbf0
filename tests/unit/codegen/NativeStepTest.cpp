// SPDX-License-Identifier: Apache-2.0
//
// One stage from its graph to machine code in this process, run by the runtime's executor, against the interpreter in f64: states and
// outputs after each function agree to 1e-5 of their norm, for every CPU level and any number of threads.
#include "compiler/codegen/cpu/LowerKernels.h"
#include "compiler/codegen/cpu/Object.h"
#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "compiler/interpret/Interpreter.h"
#include "compiler/link/Link.h"
#include "compiler/schedule/Passes.h"
#include "dialects/exec/Exec.h"
#include "runtime/device/cpu/Executor.h"
#include "tests/unit/codegen/KernelProgram.h"

#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <map>

using namespace vcc;

namespace {

using Numbers = std::vector<double>;

int unusedMain(int, char **, const VccProgram *) { return 0; }

/// A stage's machine code in this process.
class Program {
public:
  Program(mlir::ModuleOp Stage, const std::string &Cpu) {
    auto Target = llvm::cantFail(cpu::resolveCpu(Cpu));
    auto Kernels = cpu::lowerKernels({Stage}, Target);
    std::vector<std::string> Objects = llvm::cantFail(cpu::compileKernels(*Kernels, Target, 2));
    llvm::LLVMContext Context;
    auto Module = llvm::cantFail(link::buildProgram({Stage}, "{}", Context));
    Objects.push_back(llvm::cantFail(link::emitProgramObject(*Module)));
    Jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
    auto &Library = Jit->getMainJITDylib();
    Library.addGenerator(llvm::cantFail(
        llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(Jit->getDataLayout().getGlobalPrefix())));
    llvm::cantFail(Library.define(llvm::orc::absoluteSymbols(
        {{Jit->mangleAndIntern("vcc_main"), {llvm::orc::ExecutorAddr::fromPtr(&unusedMain), llvm::JITSymbolFlags::Exported}}})));
    for (const std::string &Object : Objects)
      llvm::cantFail(Jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(Object)));
  }
  const VccStage &stage() { return llvm::cantFail(Jit->lookup("vcc_program")).toPtr<const VccProgram *>()->stages[0]; }

private:
  std::unique_ptr<llvm::orc::LLJIT> Jit;
};

/// A stage ready to run.
class NativeStage {
public:
  NativeStage(Program &Code, exec::ModuleOp Plan, int Threads)
      : Plan(Plan), Executor(std::make_unique<runtime::Executor>(Code.stage(), Threads)) {}

  void run(const std::string &Function) {
    int64_t Index = 0;
    for (auto Op : Plan.getBody().front().getOps<exec::FunctionOp>()) {
      if (Op.getSymName() == Function)
        return Executor->run(Index);
      ++Index;
    }
    ADD_FAILURE() << "no function " << Function;
  }
  bool has(const std::string &Name) { return bool(find(Name)); }
  void write(const std::string &Name, const Numbers &Data) {
    exec::BufferOp Buffer = find(Name);
    std::byte *At = place(Buffer);
    bool Float = llvm::isa<mlir::FloatType>(Buffer.tensorType().getElementType());
    for (size_t I = 0; I < Data.size(); ++I)
      if (Float)
        reinterpret_cast<float *>(At)[I] = float(Data[I]);
      else
        reinterpret_cast<int32_t *>(At)[I] = int32_t(Data[I]);
  }
  Numbers read(const std::string &Name) {
    exec::BufferOp Buffer = find(Name);
    auto *At = reinterpret_cast<const float *>(place(Buffer));
    return Numbers(At, At + Buffer.tensorType().getNumElements());
  }

private:
  exec::BufferOp find(const std::string &Name) {
    return llvm::dyn_cast_or_null<exec::BufferOp>(mlir::SymbolTable::lookupSymbolIn(Plan, Name));
  }
  std::byte *place(exec::BufferOp Buffer) {
    return Executor->memory().at(static_cast<VccRegion>(Buffer.getRegion()), Buffer.getOffset());
  }
  exec::ModuleOp Plan;
  std::unique_ptr<runtime::Executor> Executor;
};

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
    Program Code(*Plan, Cpu);
    for (int Threads : {1, 2}) {
      interpret::Interpreter Oracle(*Graph);
      setInputs(Oracle);
      NativeStage Native(Code, schedule::planOf(*Plan), Threads);
      for (const std::string &Function : Functions) {
        for (auto &[Name, Data] : Inputs)
          if (Native.has(Function + "/in/" + Name))
            Native.write(Function + "/in/" + Name, Data);
        ASSERT_TRUE(mlir::succeeded(Oracle.run(Function)));
        Native.run(Function);
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
