// SPDX-License-Identifier: Apache-2.0
//
// Matrix products: the general form of the graph, and the strided form that a library call takes.
include "dialects/tg/TgInterfaces.td"

def Tg_DotGeneralOp : Tg_DifferentiableOp<"dot_general", "Library", [Pure, InferTypeOpAdaptorWithIsCompatible]> {
  let summary = "sum of products over contracted axes: -> [batch.., a free.., b free..]; of narrow operands, sums may be given in f32";
  let arguments = (ins Tg_FloatTensor:$a, Tg_FloatTensor:$b, DenseI64ArrayAttr:$batch_a, DenseI64ArrayAttr:$batch_b,
                       DenseI64ArrayAttr:$contract_a, DenseI64ArrayAttr:$contract_b);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = "$a `,` $b attr-dict `:` functional-type(operands, results)";
}

def Tg_GemmOp : Tg_PlainOp<"gemm", "Library", "it is made after differentiation", [Pure, AttrSizedOperandSegments]> {
  let summary = "C[batch, m, n] = activation(A B + bias + addend) with explicit strides in elements";
  let description = [{
    `batch` has at most two sizes. Stride arrays are [batch.., rows, columns] of each matrix as seen by the product:
    a [.., m, k], b [.., k, n], c [.., m, n]. `addend` is laid out like the result; with `accumulate` the result may
    take its place. Of narrow operands (bf16, f16) the result is of their type or f32, and bias and addend are of the
    result's; what is added is added before the result is rounded.
  }];
  let arguments = (ins Tg_FloatTensor:$a, Tg_FloatTensor:$b, Optional<Tg_FloatTensor>:$bias,
                       Optional<Tg_FloatTensor>:$addend, DenseI64ArrayAttr:$batch, I64Attr:$m, I64Attr:$n, I64Attr:$k,
                       DenseI64ArrayAttr:$a_strides, DenseI64ArrayAttr:$b_strides, DenseI64ArrayAttr:$c_strides,
                       DefaultValuedAttr<I64Attr, "0">:$a_offset, DefaultValuedAttr<I64Attr, "0">:$b_offset,
                       DefaultValuedAttr<Tg_ActivationAttr, "::vcc::tg::Activation::None">:$activation,
                       UnitAttr:$accumulate);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = [{
    $a `,` $b (`bias` `(` $bias^ `:` type($bias) `)`)? (`addend` `(` $addend^ `:` type($addend) `)`)? attr-dict
    `:` type($a) `,` type($b) `->` type($result)
  }];
  let hasVerifier = 1;
}
