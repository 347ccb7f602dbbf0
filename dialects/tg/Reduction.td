// SPDX-License-Identifier: Apache-2.0
//
// Reductions, and the softmax pair, which reduce along the last axis.
include "dialects/tg/TgInterfaces.td"

def Tg_ReduceOp : Tg_DifferentiableOp<"reduce", "Reduction", [Pure, InferTypeOpAdaptor, Tg_ConstantFolding]> {
  let summary = "combine along axes, which vanish; equal extremes share the gradient equally";
  let arguments = (ins Tg_Tensor:$x, Tg_ReduceKindAttr:$kind, DenseI64ArrayAttr:$axes);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasFolder = 1;
  let hasCanonicalizeMethod = 1;
}

class Tg_Softmax<string mnemonic> : Tg_DifferentiableOp<mnemonic, "Reduction", [Pure, SameOperandsAndResultType]> {
  let arguments = (ins Tg_FloatTensor:$x);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasVerifier = 1;
}
def Tg_SoftmaxOp : Tg_Softmax<"softmax"> { let summary = "exp(x) / sum(exp(x)) along the last axis"; }
def Tg_LogSoftmaxOp : Tg_Softmax<"log_softmax"> { let summary = "x - log(sum(exp(x))) along the last axis"; }
