// SPDX-License-Identifier: Apache-2.0
//
// Cross-entropy over classes with ignored rows and label smoothing, and its backward.
include "dialects/tg/TgInterfaces.td"

defvar lossAttributes = (ins DefaultValuedAttr<F64Attr, "0.0">:$smoothing, DefaultValuedAttr<I64Attr, "-100">:$ignore);

def Tg_CrossEntropyOp : Tg_DifferentiableOp<"cross_entropy", "Reduction", [Pure, InferTypeOpAdaptor]> {
  let summary = "loss[i] = lse[i] - (1 - s) * logits[i, label] - s * mean(logits[i]); 0 where label = ignore";
  let description = [{ A label outside the classes that is not `ignore` counts as ignored. }];
  let arguments = !con((ins Tg_FloatTensor:$logits, Tg_IndexTensor:$labels), lossAttributes);
  let results = (outs Tg_FloatTensor:$loss, Tg_FloatTensor:$lse);
  let assemblyFormat = "$logits `,` $labels attr-dict `:` functional-type(operands, results)";
}

def Tg_CrossEntropyGradOp : Tg_PlainOp<"cross_entropy_grad", "Reduction", "second derivatives are not supported",
    [Pure, InferTypeOpAdaptor]> {
  let summary = "dloss[i] * (exp(logits - lse) - (1 - s) * onehot(label) - s / V); 0 where label = ignore";
  let arguments = !con((ins Tg_FloatTensor:$logits, Tg_IndexTensor:$labels, Tg_FloatTensor:$lse, Tg_FloatTensor:$dloss),
                       lossAttributes);
  let results = (outs Tg_FloatTensor:$dlogits);
  let assemblyFormat = "$logits `,` $labels `,` $lse `,` $dloss attr-dict `:` functional-type(operands, results)";
}
