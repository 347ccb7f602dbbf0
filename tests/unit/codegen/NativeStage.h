// SPDX-License-Identifier: Apache-2.0
//
// Planned stages as machine code in this process, run by the runtime's executor: the compiler's own entry points for kernels and
// tables, then LLVM's JIT linker instead of a linked program.
#ifndef VCC_TESTS_UNIT_CODEGEN_NATIVESTAGE_H
#define VCC_TESTS_UNIT_CODEGEN_NATIVESTAGE_H

#include "dialects/exec/Exec.h"
#include "runtime/device/cpu/Executor.h"

#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace vcc::test {

class NativeProgram {
public:
  /// Compiles the stages (modules that hold a plan) for a CPU, as one program.
  static llvm::Expected<std::unique_ptr<NativeProgram>> make(llvm::ArrayRef<mlir::ModuleOp> stages, llvm::StringRef cpu,
                                                             unsigned threads = 1);
  ~NativeProgram();

  const VccStage &stage(size_t number) const;

private:
  NativeProgram();
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

/// A stage ready to run. The program and the plan must live as long.
class NativeStage {
public:
  NativeStage(const VccStage &stage, exec::ModuleOp plan, int threads);

  /// False when there is no such function.
  bool run(llvm::StringRef function);
  bool has(llvm::StringRef buffer) { return static_cast<bool>(find(buffer)); }
  void write(llvm::StringRef buffer, llvm::ArrayRef<double> elements);
  std::vector<double> read(llvm::StringRef buffer);
  /// To be called after frozen weights were written.
  void weightsChanged() { executor.weightsChanged(); }

private:
  exec::BufferOp find(llvm::StringRef name) { return buffers.lookup<exec::BufferOp>(name); }
  std::byte *place(exec::BufferOp buffer);

  exec::ModuleOp plan;
  mlir::SymbolTable buffers;
  runtime::Executor executor;
};

} // namespace vcc::test

#endif
