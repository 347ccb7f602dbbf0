// SPDX-License-Identifier: Apache-2.0
//
// Writes a function's plan as exec operations.
#ifndef VCC_COMPILER_SCHEDULE_EMITLAUNCHES_H
#define VCC_COMPILER_SCHEDULE_EMITLAUNCHES_H

#include "compiler/schedule/FunctionPlan.h"
#include "llvm/ADT/StringSet.h"

namespace vcc::schedule {

struct EmitContext {
  mlir::OpBuilder &buffers;  ///< stands where buffers are declared
  mlir::OpBuilder &launches; ///< stands in the exec.function
  const mlir::SymbolTable &kernels;
  llvm::StringSet<> &views;  ///< parts of matrices that are declared, by name
  mlir::StringRef function;
  AttentionTarget attention;
};

/// Declares the arena buffers of a packed plan and emits its launches.
void emitLaunches(FunctionPlan &plan, const EmitContext &context);

} // namespace vcc::schedule

#endif
