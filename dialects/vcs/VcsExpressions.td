// SPDX-License-Identifier: Apache-2.0
// Expressions and statements. All operands and results are `!vcs.value`; regions end in `vcs.yield`.
//
//   vcs.literal 3 : i64 [unit steps] · vcs.word "random" · vcs.ref @m::@s · vcs.builtin "len" · vcs.argument "width" · vcs.self
//   vcs.part "vision" · vcs.input "clip" · vcs.get %v "f" · vcs.index %v[%i, %s] with vcs.slice / vcs.ellipsis among the items
//   vcs.call %f(%a, axis = %b) · vcs.unary neg %a · vcs.binary add %a, %b · vcs.logical and %a {rhs} · vcs.list · vcs.tuple · vcs.range %a, %b
//   vcs.conditional %c {..} else {..} · vcs.comprehension %xs {^(%i): ..} where {^(%i): ..}
//   vcs.if %c {..} else {..} -> n values · vcs.for %xs, targets 1, carry(%a, ..) {^(targets.., carried..): yield carried..} -> carried
//   vcs.yield · vcs.return
// Where several targets stand before `in`, each element of the sequence is a tuple or list of that many values.
#ifndef VCC_DIALECTS_VCS_EXPRESSIONS
#define VCC_DIALECTS_VCS_EXPRESSIONS

include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/vcs/VcsDialect.td"
include "dialects/vcs/VcsTypes.td"
include "dialects/vcs/VcsAttrs.td"

class Vcs_Expression<string mnemonic, list<Trait> traits = []> : Vcs_Op<mnemonic, traits> {
  let results = (outs Vcs_Value:$result);
}
class Vcs_Leaf<string mnemonic, list<Trait> traits = []> : Vcs_Expression<mnemonic, traits>;

def Vcs_LiteralOp : Vcs_Leaf<"literal"> {
  let summary = "an integer (i64), a float (f64), a string, a boolean, or none (`unit`), perhaps with a unit";
  let arguments = (ins AnyAttr:$value, OptionalAttr<Vcs_UnitAttr>:$unit);
  let assemblyFormat = "$value (`unit` `` $unit^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_WordOp : Vcs_Leaf<"word"> {
  let summary = "a bare word where a key takes one (`random`, `matrices`), or a record's field path";
  let arguments = (ins StrAttr:$value);
  let assemblyFormat = "$value attr-dict";
}
def Vcs_RefOp : Vcs_Leaf<"ref", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a declaration: @module::@name";
  let arguments = (ins SymbolRefAttr:$symbol);
  let assemblyFormat = "$symbol attr-dict";
}
def Vcs_BuiltinOp : Vcs_Leaf<"builtin"> {
  let summary = "a name that the language itself provides (`len`, `range`, `f32`, `wordpiece`, ...)";
  let arguments = (ins StrAttr:$name);
  let assemblyFormat = "$name attr-dict";
}
def Vcs_ArgumentOp : Vcs_Leaf<"argument"> {
  let summary = "a parameter of the declaration being instantiated";
  let arguments = (ins StrAttr:$name);
  let assemblyFormat = "$name attr-dict";
}
def Vcs_SelfOp : Vcs_Leaf<"self"> {
  let summary = "the instance being built";
  let assemblyFormat = "attr-dict";
}
def Vcs_PartOp : Vcs_Leaf<"part"> {
  let summary = "a component of the model";
  let arguments = (ins StrAttr:$name);
  let assemblyFormat = "$name attr-dict";
}
def Vcs_InputOp : Vcs_Leaf<"input"> {
  let summary = "something the stage's batch provides: `clip`, a text or label field, or `batch`";
  let arguments = (ins StrAttr:$name);
  let assemblyFormat = "$name attr-dict";
}
def Vcs_GetOp : Vcs_Expression<"get"> {
  let summary = "a member of a part, struct, text field or tensor (`shape`, `dtype`, `rank`)";
  let arguments = (ins Vcs_Value:$object, StrAttr:$name);
  let assemblyFormat = "$object $name attr-dict";
}
def Vcs_SliceOp : Vcs_Expression<"slice", [AttrSizedOperandSegments]> {
  let summary = "`a:b:c` as an item of an index; what is absent is open";
  let arguments = (ins Optional<Vcs_Value>:$start, Optional<Vcs_Value>:$stop, Optional<Vcs_Value>:$step);
  let assemblyFormat = "(`from` $start^)? (`to` $stop^)? (`by` $step^)? attr-dict";
}
def Vcs_EllipsisOp : Vcs_Leaf<"ellipsis"> {
  let summary = "`..` as an item of an index, or as an element of a list that stands for a shape";
  let assemblyFormat = "attr-dict";
}
def Vcs_IndexOp : Vcs_Expression<"index"> {
  let arguments = (ins Vcs_Value:$object, Variadic<Vcs_Value>:$items);
  let assemblyFormat = "$object `[` $items `]` attr-dict";
}
def Vcs_CallOp : Vcs_Expression<"call"> {
  let summary = "positional arguments first (empty name), then named ones";
  let arguments = (ins Vcs_Value:$callee, Variadic<Vcs_Value>:$args, StrArrayAttr:$names);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}
def Vcs_UnaryOp : Vcs_Expression<"unary"> {
  let arguments = (ins Vcs_UnaryAttr:$kind, Vcs_Value:$value);
  let assemblyFormat = "`` $kind $value attr-dict";
}
def Vcs_BinaryOp : Vcs_Expression<"binary"> {
  let arguments = (ins Vcs_BinaryAttr:$kind, Vcs_Value:$lhs, Vcs_Value:$rhs);
  let assemblyFormat = "`` $kind $lhs `,` $rhs attr-dict";
}
def Vcs_LogicalOp : Vcs_Expression<"logical"> {
  let summary = "`and`, `or`: the right side is evaluated only if a compile-time left side does not decide";
  let arguments = (ins Vcs_LogicalAttr:$kind, Vcs_Value:$lhs);
  let regions = (region AnyRegion:$rhs);
  let assemblyFormat = "`` $kind $lhs $rhs attr-dict";
  let hasVerifier = 1;
}
def Vcs_ListOp : Vcs_Expression<"list"> {
  let arguments = (ins Variadic<Vcs_Value>:$elements);
  let assemblyFormat = "`[` $elements `]` attr-dict";
}
def Vcs_TupleOp : Vcs_Expression<"tuple"> {
  let arguments = (ins Variadic<Vcs_Value>:$elements);
  let assemblyFormat = "`(` $elements `)` attr-dict";
}
def Vcs_RangeOp : Vcs_Expression<"range"> {
  let summary = "`a..b`: the integers from a up to, not including, b";
  let arguments = (ins Vcs_Value:$first, Vcs_Value:$last);
  let assemblyFormat = "$first `,` $last attr-dict";
}
def Vcs_ConditionalOp : Vcs_Expression<"conditional"> {
  let summary = "`a if c else b` on a compile-time condition; only the chosen side is evaluated";
  let arguments = (ins Vcs_Value:$condition);
  let regions = (region AnyRegion:$then, AnyRegion:$otherwise);
  let assemblyFormat = "$condition $then `else` $otherwise attr-dict";
  let hasVerifier = 1;
}
def Vcs_ComprehensionOp : Vcs_Expression<"comprehension"> {
  let summary = "`[e for i in xs if c]`: both regions take the targets as block arguments";
  let arguments = (ins Vcs_Value:$sequence);
  let regions = (region AnyRegion:$body, AnyRegion:$filter);
  let assemblyFormat = "$sequence $body (`where` $filter^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_IfOp : Vcs_Op<"if"> {
  let summary = "a statement `if` on a compile-time condition; yields the locals that its branches assign, or the returned value";
  let arguments = (ins Vcs_Value:$condition);
  let results = (outs Variadic<Vcs_Value>:$results);
  let regions = (region AnyRegion:$then, AnyRegion:$otherwise);
  let assemblyFormat = "$condition $then `else` $otherwise (`->` type($results)^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_ForOp : Vcs_Op<"for"> {
  let summary = "a compile-time loop; carried locals are block arguments after the targets";
  let arguments = (ins Vcs_Value:$sequence, I64Attr:$targets, Variadic<Vcs_Value>:$carried);
  let results = (outs Variadic<Vcs_Value>:$results);
  let regions = (region AnyRegion:$body);
  let assemblyFormat = "$sequence `targets` $targets `carry` `(` $carried `)` $body (`->` type($results)^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_YieldOp : Vcs_Op<"yield", [Terminator]> {
  let arguments = (ins Variadic<Vcs_Value>:$values);
  let assemblyFormat = "($values^)? attr-dict";
}
def Vcs_ReturnOp : Vcs_Op<"return", [Terminator, HasParent<"FnOp">]> {
  let arguments = (ins Vcs_Value:$value);
  let assemblyFormat = "$value attr-dict";
}

#endif
