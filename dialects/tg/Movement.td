// SPDX-License-Identifier: Apache-2.0
//
// Operations that move or repeat elements and compute nothing; the last two move them between ranks.
include "dialects/tg/TgInterfaces.td"

def Tg_BroadcastOp : Tg_DifferentiableOp<"broadcast", "View", [Pure]> {
  let summary = "repeat along new axes";
  let description = [{
    `axes` names the result axis of each operand axis, in increasing order. An operand axis of size 1 may be repeated
    to any size; canonicalisation turns that into a reshape and a broadcast along new axes only.
  }];
  let arguments = (ins Tg_Tensor:$x, DenseI64ArrayAttr:$axes);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def Tg_ReshapeOp : Tg_DifferentiableOp<"reshape", "View", [Pure]> {
  let summary = "the same elements in row-major order under another shape";
  let arguments = (ins Tg_Tensor:$x);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def Tg_TransposeOp : Tg_DifferentiableOp<"transpose", "Movement", [Pure, InferTypeOpAdaptor, Tg_ConstantFolding]> {
  let summary = "result axis i is operand axis permutation[i]";
  let arguments = (ins Tg_Tensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
  let hasCanonicalizeMethod = 1;
}

def Tg_SliceOp : Tg_DifferentiableOp<"slice", "Movement", [Pure, InferTypeOpAdaptor, Tg_ConstantFolding]> {
  let summary = "sizes[i] elements of axis i from offsets[i] in steps of strides[i]";
  let arguments = (ins Tg_Tensor:$x, DenseI64ArrayAttr:$offsets, DenseI64ArrayAttr:$sizes, DenseI64ArrayAttr:$strides);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
  let hasCanonicalizeMethod = 1;
}

def Tg_ConcatOp : Tg_DifferentiableOp<"concat", "Movement", [Pure, InferTypeOpAdaptor, Tg_ConstantFolding]> {
  let summary = "operands one after another along an axis";
  let arguments = (ins Variadic<Tg_Tensor>:$inputs, I64Attr:$axis);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type($inputs, $result)";
  let hasFolder = 1;
}

def Tg_PadOp : Tg_DifferentiableOp<"pad", "Movement", [Pure, InferTypeOpAdaptor, Tg_ConstantFolding]> {
  let summary = "low[i] and high[i] elements of `value` before and after axis i";
  let arguments = (ins Tg_Tensor:$x, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high,
                       DefaultValuedAttr<F64Attr, "0.0">:$value);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
}

def Tg_AllGatherOp : Tg_DifferentiableOp<"all_gather", "Library", [Pure, InferTypeOpAdaptor]> {
  let summary = "the operands of all ranks under each other: [B, rest..] -> [ranks * B, rest..]";
  let description = [{
    Every rank runs the same functions, so each collective of a function meets the same one on the others. The result
    is the same on all ranks. Of one rank it is its operand. The loss of a step is the sum of the ranks' losses:
    therefore the gradient of a rank's operand is the sum of what every rank's loss says of that part.
  }];
  let arguments = (ins Tg_Tensor:$x, I64Attr:$ranks);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
}

def Tg_ReduceScatterOp : Tg_DifferentiableOp<"reduce_scatter", "Library", [Pure, InferTypeOpAdaptor]> {
  let summary = "this rank's part of axis 0 of the sum over all ranks: [ranks * B, rest..] -> [B, rest..]";
  let description = "Summed in the order of ranks. Of one rank it is its operand.";
  let arguments = (ins Tg_FloatTensor:$x, I64Attr:$ranks);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
}
