// SPDX-License-Identifier: Apache-2.0
//
// The test's way from text to a function pointer: the compiler's own entry points, then LLVM's JIT linker over the finished object.
#include "tests/unit/codegen/KernelProgram.h"

#include "compiler/codegen/cpu/LowerKernels.h"
#include "compiler/codegen/cpu/Object.h"
#include "dialects/exec/Exec.h"
#include "dialects/tg/Tg.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "mlir/Parser/Parser.h"
#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>

namespace vcc::test {

struct KernelProgram::State {
  std::unique_ptr<llvm::orc::LLJIT> Jit;
};

KernelProgram::KernelProgram(const std::string &Text, const std::string &Cpu) : TheState(std::make_unique<State>()) {
  mlir::MLIRContext Context;
  Context.loadDialect<tg::TgDialect, exec::ExecDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> Module = mlir::parseSourceString<mlir::ModuleOp>(Text, &Context);
  auto Target = llvm::cantFail(cpu::resolveCpu(Cpu));
  if (!Module) {
    ADD_FAILURE() << "the kernel text does not parse:\n" << Text;
    return;
  }
  mlir::OwningOpRef<mlir::ModuleOp> Kernels = cpu::lowerKernels({*Module}, Target);
  if (!Kernels) {
    ADD_FAILURE() << "the kernels cannot be lowered:\n" << Text;
    return;
  }
  auto Objects = cpu::compileKernels(*Kernels, Target, 2);
  if (!Objects) {
    ADD_FAILURE() << llvm::toString(Objects.takeError());
    return;
  }
  TheState->Jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  llvm::orc::LLJIT &Jit = *TheState->Jit;
  Jit.getMainJITDylib().addGenerator(llvm::cantFail(
      llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(Jit.getDataLayout().getGlobalPrefix())));
  for (const std::string &Object : *Objects)
    llvm::cantFail(Jit.addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(Object)));
}

KernelProgram::~KernelProgram() = default;

VccKernel KernelProgram::find(const std::string &Name) const {
  if (!TheState->Jit)
    return nullptr;
  auto Address = TheState->Jit->lookup(Name);
  if (Address)
    return Address->toPtr<VccKernel>();
  ADD_FAILURE() << llvm::toString(Address.takeError());
  return nullptr;
}

std::vector<std::string> runnableCpus() {
  auto Host = llvm::cantFail(cpu::resolveCpu("native"));
  std::vector<std::string> Names = {"x86-64-v2", "x86-64-v3", "x86-64-v4"};
  Names.erase(std::find(Names.begin(), Names.end(), Host.Cpu) + 1, Names.end());
  return Names;
}

std::string kernelText(const std::string &Name, const std::string &Class, int64_t Columns, const std::string &Arguments,
                       const std::string &Params, const std::string &Results, const std::string &Body) {
  std::string Text = "tg.kernel @" + Name + "(" + Arguments + ") attributes {kernel_class = #tg.kernel_class<" + Class +
                     ">, columns = " + std::to_string(Columns) + " : i64, params = [" + Params + "], results = [" + Results +
                     "]} {\n" + Body + "\n}\n";
  // $C stands for the number of columns.
  for (size_t At; (At = Text.find("$C")) != std::string::npos;)
    Text.replace(At, 2, std::to_string(Columns));
  return Text;
}

std::vector<int64_t> LaunchSpec::ints() const {
  std::vector<int64_t> Ints = {int64_t(Dims.size())};
  Ints.insert(Ints.end(), Dims.begin(), Dims.end());
  for (const Access &A : Accesses) {
    Ints.push_back(A.Offset);
    Ints.insert(Ints.end(), A.Strides.begin(), A.Strides.end());
  }
  Ints.insert(Ints.end(), Uniforms.begin(), Uniforms.end());
  if (RowsPerChunk)
    Ints.push_back(RowsPerChunk);
  return Ints;
}

void launch(VccKernel Kernel, std::vector<void *> Buffers, const LaunchSpec &Spec, int64_t Units,
            const std::vector<std::pair<void *, size_t>> &Outputs) {
  launch(Kernel, std::move(Buffers), Spec.ints(), Units, Outputs);
}

void launch(VccKernel Kernel, std::vector<void *> Buffers, const std::vector<int64_t> &Ints, int64_t Units,
            const std::vector<std::pair<void *, size_t>> &Outputs) {
  ASSERT_NE(Kernel, nullptr);
  auto Save = [&] {
    std::vector<std::vector<char>> Saved;
    for (auto [Start, Size] : Outputs)
      Saved.emplace_back(static_cast<char *>(Start), static_cast<char *>(Start) + Size);
    return Saved;
  };
  auto Initial = Save();
  Kernel(Buffers.data(), Ints.data(), 0, Units);
  auto Whole = Save();
  for (size_t I = 0; I < Outputs.size(); ++I)
    std::memcpy(Outputs[I].first, Initial[I].data(), Initial[I].size());
  std::mt19937 Random(7);
  std::vector<int64_t> Cuts = {0, Units};
  for (int I = 0; I < 4; ++I)
    Cuts.push_back(Units ? int64_t(Random() % uint64_t(Units + 1)) : 0);
  std::sort(Cuts.begin(), Cuts.end());
  for (size_t I = Cuts.size() - 1; I > 0; --I) // from the back, as other threads might
    Kernel(Buffers.data(), Ints.data(), Cuts[I - 1], Cuts[I]);
  auto Pieces = Save();
  EXPECT_TRUE(Whole == Pieces) << "the split of the units changes the result";
}

int64_t bitsOf(float Number) {
  uint32_t Bits;
  std::memcpy(&Bits, &Number, 4);
  return Bits;
}

std::vector<float> randomFloats(size_t Count, float Low, float High, unsigned Seed) {
  std::mt19937 Random(Seed);
  std::uniform_real_distribution<float> Distribution(Low, High);
  std::vector<float> Result(Count);
  for (float &X : Result)
    X = Distribution(Random);
  return Result;
}

} // namespace vcc::test
