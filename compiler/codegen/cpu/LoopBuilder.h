// SPDX-License-Identifier: Apache-2.0
//
// What every generated function is made of besides its arithmetic: the C function itself, places, addresses and loops.
#ifndef VCC_COMPILER_CODEGEN_CPU_LOOPBUILDER_H
#define VCC_COMPILER_CODEGEN_CPU_LOOPBUILDER_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace vcc::cpu {

using Values = llvm::SmallVector<mlir::Value>;

class LoopBuilder {
public:
  explicit LoopBuilder(mlir::ImplicitLocOpBuilder &B)
      : B(B), Pointer(mlir::LLVM::LLVMPointerType::get(B.getContext())), I64(B.getI64Type()) {}

  /// Makes a function `void name(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end)` and enters it.
  mlir::LLVM::LLVMFuncOp openFunction(llvm::StringRef Name);

  mlir::Value constant(int64_t Number);
  mlir::Value address(mlir::Value Pointer, mlir::Value Index, mlir::Type Element);
  mlir::Value addMul(mlir::Value A, mlir::Value Factor, mlir::Value Other);
  /// scf.for with i64 bounds.
  Values loop(mlir::Value From, mlir::Value To, mlir::Value Step, mlir::ValueRange Carried,
              llvm::function_ref<Values(mlir::Value, mlir::ValueRange)> Body);

protected:
  mlir::ImplicitLocOpBuilder &B;
  mlir::Type Pointer, I64;
};

} // namespace vcc::cpu

#endif
