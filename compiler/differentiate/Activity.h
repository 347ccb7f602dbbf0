// SPDX-License-Identifier: Apache-2.0
//
// Activity: which values of a function depend, differentiably, on a trainable weight.
#ifndef VCC_COMPILER_DIFFERENTIATE_ACTIVITY_H
#define VCC_COMPILER_DIFFERENTIATE_ACTIVITY_H

#include "dialects/tg/Tg.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace vcc::differentiate {

/// A weight as one function reads it.
struct WeightUse {
  llvm::SmallVector<mlir::Value, 1> Reads;
  /// The first operation, in program order, that brings a contribution to the gradient.
  mlir::Operation *First = nullptr;
};

class Activity {
public:
  Activity(mlir::func::FuncOp Function, mlir::SymbolTable &Symbols);

  bool isActive(mlir::Value V) const { return Active.contains(V); }
  /// The trainable weights that the function reads, in program order.
  const llvm::MapVector<llvm::StringRef, WeightUse> &weights() const { return Weights; }
  /// Those of them on which one of `Losses` depends.
  llvm::DenseSet<llvm::StringRef> reachedFrom(llvm::ArrayRef<tg::LossOp> Losses) const;

private:
  void visit(mlir::Operation &Op, mlir::SymbolTable &Symbols);

  llvm::DenseSet<mlir::Value> Active;
  llvm::MapVector<llvm::StringRef, WeightUse> Weights;
};

/// The losses of a function, in program order.
llvm::SmallVector<tg::LossOp> lossesOf(mlir::func::FuncOp Function);

} // namespace vcc::differentiate

#endif
