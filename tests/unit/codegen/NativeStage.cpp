// SPDX-License-Identifier: Apache-2.0
//
// From planned stages to functions that run.
#include "tests/unit/codegen/NativeStage.h"

#include "compiler/codegen/cpu/LowerKernels.h"
#include "compiler/codegen/cpu/Object.h"
#include "compiler/link/Link.h"

#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include <cstring>

using namespace vcc;
using namespace vcc::test;

static int unusedMain(int, char **, const VccProgram *) { return 0; }

NativeProgram::NativeProgram() = default;
NativeProgram::~NativeProgram() = default;

llvm::Expected<std::unique_ptr<NativeProgram>> NativeProgram::make(llvm::ArrayRef<mlir::ModuleOp> stages, llvm::StringRef cpu,
                                                                   unsigned threads) {
  auto target = cpu::resolveCpu(cpu);
  if (!target)
    return target.takeError();
  auto kernels = cpu::lowerKernels(stages, *target);
  if (!kernels)
    return llvm::createStringError("the kernels cannot be lowered");
  auto objects = cpu::compileKernels(*kernels, *target, threads);
  if (!objects)
    return objects.takeError();
  llvm::LLVMContext context;
  auto module = link::buildProgram(stages, "{}", context);
  if (!module)
    return module.takeError();
  auto tables = link::emitProgramObject(**module);
  if (!tables)
    return tables.takeError();
  objects->push_back(std::move(*tables));

  std::unique_ptr<NativeProgram> program(new NativeProgram);
  program->jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  llvm::orc::LLJIT &jit = *program->jit;
  auto &library = jit.getMainJITDylib();
  library.addGenerator(llvm::cantFail(
      llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(jit.getDataLayout().getGlobalPrefix())));
  llvm::cantFail(library.define(llvm::orc::absoluteSymbols(
      {{jit.mangleAndIntern("vcc_main"), {llvm::orc::ExecutorAddr::fromPtr(&unusedMain), llvm::JITSymbolFlags::Exported}}})));
  for (const std::string &object : *objects)
    llvm::cantFail(jit.addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object)));
  if (auto found = jit.lookup("vcc_program"); !found)
    return found.takeError();
  return program;
}

const VccStage &NativeProgram::stage(size_t number) const {
  return llvm::cantFail(jit->lookup("vcc_program")).toPtr<const VccProgram *>()->stages[number];
}

NativeStage::NativeStage(const VccStage &stage, exec::ModuleOp plan, int threads)
    : plan(plan), buffers(plan), executor(stage, threads) {}

bool NativeStage::run(llvm::StringRef function) {
  int64_t index = 0;
  for (auto op : plan.getBody().front().getOps<exec::FunctionOp>()) {
    if (op.getSymName() == function) {
      executor.run(index);
      return true;
    }
    ++index;
  }
  return false;
}

std::byte *NativeStage::place(exec::BufferOp buffer) {
  return executor.memory().at(static_cast<VccRegion>(buffer.getRegion()), buffer.getOffset());
}

void NativeStage::write(llvm::StringRef name, llvm::ArrayRef<double> elements) {
  exec::BufferOp buffer = find(name);
  std::byte *at = place(buffer);
  mlir::Type element = buffer.tensorType().getElementType();
  for (size_t i = 0; i < elements.size(); ++i)
    if (llvm::isa<mlir::FloatType>(element))
      reinterpret_cast<float *>(at)[i] = static_cast<float>(elements[i]);
    else if (element.isInteger(32))
      reinterpret_cast<int32_t *>(at)[i] = static_cast<int32_t>(elements[i]);
    else
      reinterpret_cast<uint8_t *>(at)[i] = static_cast<uint8_t>(elements[i]);
}

std::vector<double> NativeStage::read(llvm::StringRef name) {
  exec::BufferOp buffer = find(name);
  const std::byte *at = place(buffer);
  mlir::Type element = buffer.tensorType().getElementType();
  std::vector<double> elements(buffer.tensorType().getNumElements());
  for (size_t i = 0; i < elements.size(); ++i)
    elements[i] = llvm::isa<mlir::FloatType>(element) ? reinterpret_cast<const float *>(at)[i]
                  : element.isInteger(32)             ? reinterpret_cast<const int32_t *>(at)[i]
                                                      : static_cast<double>(reinterpret_cast<const uint8_t *>(at)[i]);
  return elements;
}
