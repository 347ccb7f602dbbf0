// SPDX-License-Identifier: Apache-2.0
//
// The training-graph dialect: static tensors, value semantics, a closed set of operations with the field's names.
#ifndef VCC_TG_DIALECT
#define VCC_TG_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/DialectBase.td"

def Tg_Dialect : Dialect {
  let name = "tg";
  let cppNamespace = "::vcc::tg";
  let summary = "training graphs: tensor operations that differentiate, cost and mean something";
  let description = [{
    One stage of a recipe is one `builtin.module` of `tg.state` symbols and argument-less `func.func`s. All tensors
    are ranked and static; there is no implicit broadcast. Every operation carries its gradient (or the reason why it
    has none), its cost, its meaning in the reference interpreter and its fusion class.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

#endif
