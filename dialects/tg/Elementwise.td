// SPDX-License-Identifier: Apache-2.0
//
// Elementwise operations: operands and result have one shape; nothing broadcasts.
include "dialects/tg/TgInterfaces.td"

class Tg_Unary<string mnemonic, Type operand = Tg_FloatTensor> : Tg_DifferentiableOp<mnemonic, "Pointwise",
    [Pure, Elementwise, SameOperandsAndResultType, Tg_ConstantFolding]> {
  let arguments = (ins operand:$x);
  let results = (outs operand:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Tg_NegOp : Tg_Unary<"neg", Tg_Tensor> { let summary = "-x"; let hasFolder = 1; }
def Tg_AbsOp : Tg_Unary<"abs", Tg_Tensor> { let summary = "|x|; subgradient 0 at 0"; }
def Tg_ExpOp : Tg_Unary<"exp"> { let summary = "e to the x"; }
def Tg_LogOp : Tg_Unary<"log"> { let summary = "natural logarithm"; }
def Tg_SqrtOp : Tg_Unary<"sqrt"> { let summary = "square root"; }
def Tg_RsqrtOp : Tg_Unary<"rsqrt"> { let summary = "1 / sqrt(x)"; }
def Tg_TanhOp : Tg_Unary<"tanh"> { let summary = "hyperbolic tangent"; }
def Tg_ErfOp : Tg_Unary<"erf"> { let summary = "error function"; }
def Tg_SinOp : Tg_Unary<"sin"> { let summary = "sine"; }
def Tg_CosOp : Tg_Unary<"cos"> { let summary = "cos"; }
def Tg_SigmoidOp : Tg_Unary<"sigmoid"> { let summary = "1 / (1 + exp(-x))"; }

def Tg_FloorOp : Tg_PlainOp<"floor", "Pointwise", "it is constant between its jumps",
    [Pure, Elementwise, SameOperandsAndResultType, Tg_ConstantFolding]> {
  let summary = "largest whole number not above x";
  let arguments = (ins Tg_FloatTensor:$x);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}
def Tg_NotOp : Tg_PlainOp<"not", "Pointwise", "it is a function of truth values",
    [Pure, Elementwise, SameOperandsAndResultType, Tg_ConstantFolding]> {
  let summary = "logical not";
  let arguments = (ins Tg_BoolTensor:$x);
  let results = (outs Tg_BoolTensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasFolder = 1;
}

class Tg_Binary<string mnemonic, Type operand = Tg_Tensor, list<Trait> traits = []> : Tg_DifferentiableOp<mnemonic,
    "Pointwise", !listconcat(traits, [Pure, Elementwise, SameOperandsAndResultType, Tg_ConstantFolding])> {
  let arguments = (ins operand:$lhs, operand:$rhs);
  let results = (outs operand:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs)";
}

def Tg_AddOp : Tg_Binary<"add", Tg_Tensor, [Commutative]> { let summary = "a + b"; let hasFolder = 1; }
def Tg_SubOp : Tg_Binary<"sub"> { let summary = "a - b"; let hasFolder = 1; }
def Tg_MulOp : Tg_Binary<"mul", Tg_Tensor, [Commutative]> { let summary = "a * b"; let hasFolder = 1; }
def Tg_DivOp : Tg_Binary<"div"> {
  let summary = "a / b; whole numbers truncate towards zero, and x / 0 = 0";
  let hasFolder = 1;
}
def Tg_MaxOp : Tg_Binary<"max"> { let summary = "a where a >= b, else b; the gradient goes to the one chosen"; let hasFolder = 1; }
def Tg_MinOp : Tg_Binary<"min"> { let summary = "a where a <= b, else b; the gradient goes to the one chosen"; let hasFolder = 1; }
def Tg_PowOp : Tg_Binary<"pow", Tg_FloatTensor> {
  let summary = "a to the b";
  let hasFolder = 1;
  let hasCanonicalizeMethod = 1;
}

class Tg_Logic<string mnemonic> : Tg_PlainOp<mnemonic, "Pointwise", "it is a function of truth values",
    [Pure, Elementwise, Commutative, SameOperandsAndResultType, Tg_ConstantFolding]> {
  let arguments = (ins Tg_BoolTensor:$lhs, Tg_BoolTensor:$rhs);
  let results = (outs Tg_BoolTensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs)";
  let hasFolder = 1;
}
def Tg_AndOp : Tg_Logic<"and"> { let summary = "logical and"; }
def Tg_OrOp : Tg_Logic<"or"> { let summary = "logical or"; }

def Tg_CompareOp : Tg_PlainOp<"compare", "Pointwise", "its result is a truth value",
    [Pure, Elementwise, SameTypeOperands, InferTypeOpAdaptor, Tg_ConstantFolding]> {
  let summary = "compare two tensors element by element";
  let arguments = (ins Tg_Tensor:$lhs, Tg_Tensor:$rhs, Tg_PredicateAttr:$predicate);
  let results = (outs Tg_BoolTensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs)";
}

def Tg_SelectOp : Tg_DifferentiableOp<"select", "Pointwise",
    [Pure, Elementwise, AllTypesMatch<["a", "b", "result"]>, Tg_ConstantFolding]> {
  let summary = "a where the condition holds, else b";
  let arguments = (ins Tg_BoolTensor:$condition, Tg_Tensor:$a, Tg_Tensor:$b);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$condition `,` $a `,` $b attr-dict `:` type($condition) `,` type($a)";
  let hasFolder = 1;
}

def Tg_CastOp : Tg_DifferentiableOp<"cast", "Pointwise", [Pure, Elementwise, SameOperandsAndResultShape, Tg_ConstantFolding]> {
  let summary = "convert elements; float to whole number truncates, anything to i1 is x != 0";
  let arguments = (ins Tg_Tensor:$x);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
  let hasFolder = 1;
}

def Tg_ConstantOp : Tg_PlainOp<"constant", "Source", "it has no operands", [Pure, ConstantLike, InferTypeOpAdaptor]> {
  let summary = "known values";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Tg_StopGradientOp : Tg_PlainOp<"stop_gradient", "View", "stopping it is its purpose",
    [Pure, SameOperandsAndResultType]> {
  let summary = "x, through which no gradient flows; differentiation removes it";
  let arguments = (ins Tg_Tensor:$x);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Tg_BarrierOp : Tg_DifferentiableOp<"barrier", "View", [Pure, InferTypeOpAdaptor]> {
  let summary = "its operands, which no rewrite may look through; one value may pass a segment's border in it";
  let arguments = (ins Variadic<Tg_Tensor>:$inputs, OptionalAttr<Tg_BorderAttr>:$border);
  let results = (outs Variadic<Tg_Tensor>:$outputs);
  let assemblyFormat = "$inputs attr-dict `:` type($inputs)";
  let hasVerifier = 1;
}
