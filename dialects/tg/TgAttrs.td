// SPDX-License-Identifier: Apache-2.0
//
// Enumerations and structured attributes of the training-graph dialect.
#ifndef VCC_TG_ATTRS
#define VCC_TG_ATTRS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "dialects/tg/TgDialect.td"

class Tg_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let genSpecializedAttr = 0;
  let cppNamespace = "::vcc::tg";
}
class Tg_EnumAttr<EnumAttrInfo info, string mnemonic> : EnumAttr<Tg_Dialect, info, mnemonic> {
  let assemblyFormat = "`<` $value `>`";
}

def Tg_Predicate : Tg_Enum<"Predicate", "comparison", [
  I32EnumAttrCase<"Eq", 0, "eq">, I32EnumAttrCase<"Ne", 1, "ne">, I32EnumAttrCase<"Lt", 2, "lt">,
  I32EnumAttrCase<"Le", 3, "le">, I32EnumAttrCase<"Gt", 4, "gt">, I32EnumAttrCase<"Ge", 5, "ge">]>;
def Tg_PredicateAttr : Tg_EnumAttr<Tg_Predicate, "predicate">;

def Tg_ReduceKind : Tg_Enum<"ReduceKind", "how a reduction combines", [
  I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">, I32EnumAttrCase<"Min", 2, "min">]>;
def Tg_ReduceKindAttr : Tg_EnumAttr<Tg_ReduceKind, "reduce_kind">;

def Tg_KernelClass : Tg_Enum<"KernelClass", "how a kernel walks its domain", [
  I32EnumAttrCase<"Row", 0, "row">, I32EnumAttrCase<"Flat", 1, "flat">, I32EnumAttrCase<"Scatter", 2, "scatter">]>;
def Tg_KernelClassAttr : Tg_EnumAttr<Tg_KernelClass, "kernel_class">;

def Tg_ParamKind : Tg_Enum<"ParamKind", "how a kernel sees an operand", [
  I32EnumAttrCase<"Row", 0, "row">, I32EnumAttrCase<"Scalar", 1, "scalar">,
  I32EnumAttrCase<"Indexed", 2, "indexed">, I32EnumAttrCase<"Uniform", 3, "uniform">]>;

def Tg_ResultKind : Tg_Enum<"ResultKind", "how a kernel delivers a result", [
  I32EnumAttrCase<"Row", 0, "row">, I32EnumAttrCase<"Scalar", 1, "scalar">,
  I32EnumAttrCase<"ColumnSum", 2, "column_sum">, I32EnumAttrCase<"TotalSum", 3, "total_sum">,
  I32EnumAttrCase<"Scatter", 4, "scatter">]>;

def Tg_Activation : Tg_Enum<"Activation", "what a matrix product applies last", [
  I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Gelu", 1, "gelu">, I32EnumAttrCase<"Silu", 2, "silu">]>;
def Tg_ActivationAttr : Tg_EnumAttr<Tg_Activation, "activation">;

def Tg_StateKind : Tg_Enum<"StateKind", "what a state is for", [
  I32EnumAttrCase<"Weight", 0, "weight">, I32EnumAttrCase<"Gradient", 1, "gradient">,
  I32EnumAttrCase<"Moment", 2, "moment">, I32EnumAttrCase<"Counter", 3, "counter">]>;
def Tg_StateKindAttr : Tg_EnumAttr<Tg_StateKind, "state_kind"> { let assemblyFormat = "$value"; }

class Tg_Attr<string name, string attrMnemonic> : AttrDef<Tg_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Tg_SiteAttr : Tg_Attr<"Site", "site"> {
  let summary = "the place in the recipe that draws random numbers";
  let description = [{ Two random operations with equal site and equal rng draw equal numbers. }];
  let parameters = (ins StringRefParameter<"recipe path">:$path);
  let assemblyFormat = "`<` $path `>`";
  let extraClassDeclaration = [{
    /// FNV-1a (32 bit) of the path: word 3 of the Philox counter.
    uint32_t hash() const;
  }];
}

def Tg_BorderSide : Tg_Enum<"BorderSide", "which way a value passes a segment's border", [
  I32EnumAttrCase<"Enter", 0, "enter">, I32EnumAttrCase<"Leave", 1, "leave">]>;

def Tg_BorderAttr : Tg_Attr<"Border", "border"> {
  let summary = "the border of a segment: what lies inside is computed again for the backward";
  let parameters = (ins EnumParameter<Tg_BorderSide>:$side, "int64_t":$segment);
  let assemblyFormat = "`<` $side $segment `>`";
}

def Tg_AccessAttr : Tg_Attr<"Access", "access"> {
  let summary = "how a launch steps through a tensor: element offset and stride per outer dimension";
  let parameters = (ins "int64_t":$offset, ArrayRefParameter<"int64_t">:$strides);
  let hasCustomAssemblyFormat = 1;
}

def Tg_ParamAttr : Tg_Attr<"Param", "param"> {
  let summary = "a kernel parameter: kind, stride between columns, and for `indexed` the number of the index parameter";
  let parameters = (ins EnumParameter<Tg_ParamKind>:$kind, DefaultValuedParameter<"int64_t", "1">:$stride,
                        DefaultValuedParameter<"int64_t", "-1">:$index);
  let assemblyFormat = "`<` $kind (`stride` `(` $stride^ `)`)? (`index` `(` $index^ `)`)? `>`";
  let builders = [AttrBuilder<(ins "ParamKind":$kind), [{ return $_get($_ctxt, kind, 1, -1); }]>];
}

def Tg_ResultAttr : Tg_Attr<"Result", "result"> {
  let summary = "a kernel result: kind, stride between columns, and for `scatter` the number of the index parameter";
  let parameters = (ins EnumParameter<Tg_ResultKind>:$kind, DefaultValuedParameter<"int64_t", "1">:$stride,
                        DefaultValuedParameter<"int64_t", "-1">:$index);
  let assemblyFormat = "`<` $kind (`stride` `(` $stride^ `)`)? (`index` `(` $index^ `)`)? `>`";
  let builders = [AttrBuilder<(ins "ResultKind":$kind), [{ return $_get($_ctxt, kind, 1, -1); }]>];
}

#endif
