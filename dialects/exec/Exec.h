// SPDX-License-Identifier: Apache-2.0
//
// The execution dialect: `exec.module` and what stands in it. See README.md.
#ifndef VCC_DIALECTS_EXEC_EXEC_H
#define VCC_DIALECTS_EXEC_EXEC_H

#include "dialects/tg/Tg.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include "dialects/exec/ExecDialect.h.inc"
#include "dialects/exec/exec_ExecAttrsEnums.h.inc"
#include "dialects/exec/ExecInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/exec/ExecAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/exec/ExecOps.h.inc"

namespace vcc::exec {

/// Alignment of every buffer that is not a view, in bytes.
inline constexpr int64_t BufferAlignment = 64;

/// Bytes of one element in memory; i1 takes one byte.
int64_t bytesOfElement(mlir::Type element);

} // namespace vcc::exec

#endif
