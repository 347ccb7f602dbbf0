// SPDX-License-Identifier: Apache-2.0
//
// Rows by number. An index outside the table stands for row 0.
include "dialects/tg/TgInterfaces.td"

def Tg_IotaOp : Tg_PlainOp<"iota", "Source", "it has no operands", [Pure]> {
  let summary = "each element is its place along an axis";
  let arguments = (ins DefaultValuedAttr<I64Attr, "0">:$axis);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tg_GatherOp : Tg_DifferentiableOp<"gather", "Movement", [Pure, InferTypeOpAdaptor]> {
  let declarations = "int64_t bytes();";
  let summary = "rows of axis 0 of the table: [V, rest..], [I..] -> [I.., rest..]";
  let arguments = (ins Tg_Tensor:$table, Tg_IndexTensor:$ids);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$table `,` $ids attr-dict `:` functional-type(operands, results)";
}

def Tg_ScatterAddOp : Tg_DifferentiableOp<"scatter_add", "Movement", [Pure, InferTypeOpAdaptor]> {
  let summary = "a table of zeros to whose rows the updates are added: [I..], [I.., rest..] -> [rows, rest..]";
  let arguments = (ins Tg_IndexTensor:$ids, Tg_Tensor:$updates, I64Attr:$rows);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$ids `,` $updates attr-dict `:` functional-type(operands, results)";
}
