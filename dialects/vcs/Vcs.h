// SPDX-License-Identifier: Apache-2.0
//
// The vcs dialect: types, attributes, ops and the few look-ups that every reader of a recipe needs. Start at VcsDialect.td.
#ifndef VCC_DIALECTS_VCS_VCS_H
#define VCC_DIALECTS_VCS_VCS_H

#include "dialects/vcs/Locations.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/vcs/VcsDialect.h.inc"
#include "dialects/vcs/vcs_VcsAttrsEnums.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/vcs/VcsTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/vcs/VcsAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/vcs/VcsDeclarations.h.inc"

#define GET_OP_CLASSES
#include "dialects/vcs/VcsExpressions.h.inc"

#define GET_OP_CLASSES
#include "dialects/vcs/VcsStages.h.inc"

namespace vcc::vcs {

/// The declaration that `Symbol` (@module::@name) means, seen from any op of the program; null if there is none.
mlir::Operation *findDeclaration(mlir::Operation *From, mlir::SymbolRefAttr Symbol);

/// The recipe's own module (marked `main`), or null.
ModuleOp findMain(mlir::ModuleOp Program);

/// The stage of `Module` with that name, or null.
StageOp findStage(ModuleOp Module, llvm::StringRef Name);

/// The parameters of a callable declaration, in order.
llvm::SmallVector<ParamOp> paramsOf(mlir::Operation *Callable);

/// The declared result type's op, if any.
ResultOp resultOf(mlir::Operation *Callable);

/// The method of that name of a layer, optimizer or schedule, or null.
FnOp findMethod(mlir::Operation *Owner, llvm::StringRef Name);

/// The option of that name directly in `Options`, or null.
OptionOp findOption(mlir::Region &Options, llvm::StringRef Name);

} // namespace vcc::vcs

#endif
