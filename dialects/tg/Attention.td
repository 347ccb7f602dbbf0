// SPDX-License-Identifier: Apache-2.0
//
// Softmax attention with structured masks, and its backward.
include "dialects/tg/TgInterfaces.td"

defvar attentionAttributes = (ins UnitAttr:$causal, F64Attr:$scale, DefaultValuedAttr<F64Attr, "0.0">:$dropout,
                                  OptionalAttr<Tg_SiteAttr>:$site);

def Tg_AttentionOp : Tg_DifferentiableOp<"attention", "Library",
    [Pure, AttrSizedOperandSegments, InferTypeOpAdaptor]> {
  let summary = "softmax(scale q k^T) v by heads";
  let description = [{
    q [B, Sq, H, D], k and v [B, Sk, G, D] with H a multiple of G (query head h reads key head h / (H / G)). Query i
    sees key j iff j < lengths[b] and j >= starts[b, i] (when given; starts is [B, Sq]: where several sequences lie in a
    row, the place of the query's own first key) and, when causal, j <= i + (Sk - Sq). A query that sees nothing gives
    zeros and lse = -inf. lse [B, H, Sq] is the log-sum-exp of the scaled visible scores. Dropout falls on the
    probabilities: kept ones are divided by 1 - dropout; the draw of (b, h, i, j) is that of `tg.random_uniform` with
    sample b and inner index (h * Sq + i) * Sk + j, and the element is kept where the draw is >= dropout.
    `samples` [most, longest], of causal attention with lengths, starts and Sq = Sk, is what is known before the batch is: the
    positions of a row before lengths[b] are samples one behind another, each from a position that is its own start to the next
    such; there are no more than `most` in all rows, and none has more than `longest` positions. Those behind are their own starts.
  }];
  let arguments = !con((ins Tg_FloatTensor:$q, Tg_FloatTensor:$k, Tg_FloatTensor:$v, Optional<Tg_IndexTensor>:$lengths,
                            Optional<Tg_IndexTensor>:$starts, Optional<Tg_Rng>:$rng), attentionAttributes,
                       (ins OptionalAttr<DenseI64ArrayAttr>:$samples));
  let results = (outs Tg_FloatTensor:$out, Tg_FloatTensor:$lse);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`lengths` `(` $lengths^ `:` type($lengths) `)`)? (`starts` `(` $starts^ `:` type($starts) `)`)? (`rng` `(` $rng^ `:` type($rng) `)`)? attr-dict
    `:` type($q) `,` type($k) `,` type($v) `->` type($out) `,` type($lse)
  }];
}

def Tg_AttentionGradOp : Tg_PlainOp<"attention_grad", "Library", "second derivatives are not supported",
    [Pure, AttrSizedOperandSegments, InferTypeOpAdaptor]> {
  let summary = "cotangents of q, k, v from those of out; out and lse are the forward's results";
  let arguments = !con((ins Tg_FloatTensor:$q, Tg_FloatTensor:$k, Tg_FloatTensor:$v, Tg_FloatTensor:$out,
                            Tg_FloatTensor:$lse, Tg_FloatTensor:$dout, Optional<Tg_IndexTensor>:$lengths,
                            Optional<Tg_IndexTensor>:$starts, Optional<Tg_Rng>:$rng), attentionAttributes);
  let results = (outs Tg_FloatTensor:$dq, Tg_FloatTensor:$dk, Tg_FloatTensor:$dv);
  let assemblyFormat = [{
    $q `,` $k `,` $v `,` $out `,` $lse `,` $dout (`lengths` `(` $lengths^ `:` type($lengths) `)`)?
    (`starts` `(` $starts^ `:` type($starts) `)`)? (`rng` `(` $rng^ `:` type($rng) `)`)? attr-dict
    `:` type($q) `,` type($k) `,` type($v) `,` type($out) `,` type($lse) `,` type($dout) `->` type($dq) `,` type($dk) `,` type($dv)
  }];
}
