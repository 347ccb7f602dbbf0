// SPDX-License-Identifier: Apache-2.0
//
// What the two ways to run a kernel share. `Columns` keeps a vector of columns of one row in a register and suits long rows;
// `Lanes` keeps one column of many rows, and suits flat kernels and rows of a few columns.
#ifndef VCC_COMPILER_CODEGEN_CPU_KERNELEMITTER_H
#define VCC_COMPILER_CODEGEN_CPU_KERNELEMITTER_H

#include "compiler/codegen/body/Pointwise.h"
#include "compiler/codegen/cpu/KernelFrame.h"
#include "compiler/codegen/cpu/Memory.h"
#include "llvm/ADT/DenseMap.h"

namespace vcc::cpu {

using codegen::Pointwise;

/// Emits one kernel as a function at the builder's place.
mlir::LogicalResult emitByColumns(tg::KernelOp Kernel, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B);
mlir::LogicalResult emitByLanes(tg::KernelOp Kernel, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B);

class KernelEmitter {
protected:
  KernelEmitter(tg::KernelOp Kernel, const CpuTarget &Target, mlir::ImplicitLocOpBuilder &B)
      : Kernel(Kernel), B(B), Frame(Kernel, Target, B), Mem(B, Target.lanes()), Ops(B, machineOf(Target)),
        Lanes(Target.lanes()), Columns(Kernel.getColumns()), Body(Kernel.getBody().front()) {}

  mlir::Type registerType(mlir::Value V) { return registerElement(mlir::getElementTypeOrSelf(V.getType())); }
  mlir::Type elementOf(mlir::Value V) { return mlir::getElementTypeOrSelf(V.getType()); }
  mlir::Value yielded(unsigned Result) { return Body.getTerminator()->getOperand(Result); }
  unsigned resultCount() { return Body.getTerminator()->getNumOperands(); }
  tg::ResultKind resultKind(unsigned Result) { return Kernel.getResultKind(Result).getKind(); }
  /// A splat constant as a scalar, or null.
  mlir::Value splatScalar(tg::ConstantOp Op, int64_t Element);
  void fail() { Failed = true; }

  tg::KernelOp Kernel;
  mlir::ImplicitLocOpBuilder &B;
  KernelFrame Frame;
  Memory Mem;
  Pointwise Ops;
  int64_t Lanes, Columns;
  mlir::Block &Body;
  bool Failed = false;
};

} // namespace vcc::cpu

#endif
