// SPDX-License-Identifier: Apache-2.0
//
// The execution dialect: buffers at fixed offsets and a table of launches in order, one exec.module per stage.
#ifndef VCC_EXEC_DIALECT
#define VCC_EXEC_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/DialectBase.td"

def Exec_Dialect : Dialect {
  let name = "exec";
  let cppNamespace = "::vcc::exec";
  let summary = "the static plan of a stage: where every tensor lives and what is launched, in order";
  let description = [{
    An `exec.module` stands in the `builtin.module` of its stage, beside the `tg.kernel` symbols that it launches. It
    has no values: operations name buffers by symbol, so that the text is the plan and `compiler/link` only has to
    serialise it into the tables of `runtime/program/Abi.h`.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

#endif
