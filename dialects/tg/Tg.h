// SPDX-License-Identifier: Apache-2.0
//
// The training-graph dialect: everything a user of it includes.
#ifndef VCC_DIALECTS_TG_TG_H
#define VCC_DIALECTS_TG_TG_H

#include "dialects/tg/Meaning.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace vcc::tg {

/// How an operation takes part in fusion. `View` costs nothing once buffers are strided; `Effect` touches state.
enum class FusionClass { Pointwise, Reduction, Library, Movement, View, Source, Effect };

/// What reads and writes of states, and of outputs, order against.
struct StateResource : mlir::SideEffects::Resource::Base<StateResource> {
  llvm::StringRef getName() override { return "tg.state"; }
};
struct ChannelResource : mlir::SideEffects::Resource::Base<ChannelResource> {
  llvm::StringRef getName() override { return "tg.channel"; }
};

/// Bytes of one tensor (an i1 takes a byte), and of all operands and results of an operation.
int64_t tensorBytes(mlir::Type Type);
int64_t operandAndResultBytes(mlir::Operation *Op);

/// Folds an operation whose operands are constants by its meaning, when no result would be rounded.
llvm::LogicalResult foldByMeaning(mlir::Operation *Op, llvm::ArrayRef<mlir::Attribute> Operands,
                                  llvm::SmallVectorImpl<mlir::OpFoldResult> &Results);

namespace trait {
template <typename ConcreteType>
struct ConstantFolding : mlir::OpTrait::TraitBase<ConcreteType, ConstantFolding> {
  static llvm::LogicalResult foldTrait(mlir::Operation *Op, llvm::ArrayRef<mlir::Attribute> Operands,
                                       llvm::SmallVectorImpl<mlir::OpFoldResult> &Results) {
    return foldByMeaning(Op, Operands, Results);
  }
};
} // namespace trait
} // namespace vcc::tg

#include "dialects/tg/TgDialect.h.inc"
#include "dialects/tg/tg_TgAttrsEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/tg/TgAttrs.h.inc"

#include "dialects/tg/TgInterfaces.h.inc"

#define GET_OP_CLASSES
#include "dialects/tg/Elementwise.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Reduction.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Movement.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Indexing.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Contraction.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Attention.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Loss.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Random.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/State.h.inc"
#define GET_OP_CLASSES
#include "dialects/tg/Kernel.h.inc"

#endif
