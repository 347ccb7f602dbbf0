// SPDX-License-Identifier: Apache-2.0
// Enumerations of the language (units, operators, roles, ...), selectors, signature types and moments of a run.
//
//   #vcs.selector<["lm.layers[*].attn.q_proj" at [21:18:2, ...]] except ["text"]>   braces are expanded; `at` = line:column:length per segment
//   #vcs.named<int> · #vcs.tensor<f32, [.., "B", 4, #0]> · #vcs.declared<@nn::@Linear>   types in signatures
//   #vcs.when<end> · #vcs.when<every 10.0 steps>
#ifndef VCC_DIALECTS_VCS_ATTRS
#define VCC_DIALECTS_VCS_ATTRS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "dialects/vcs/VcsDialect.td"

class Vcs_EnumBase<string name, list<I32EnumAttrCase> cases> : I32EnumAttr<name, "", cases> {
  let cppNamespace = "::vcc::vcs";
  let genSpecializedAttr = 0;
}

def Vcs_Unit : Vcs_EnumBase<"Unit", [
  I32EnumAttrCase<"Steps", 0, "steps">, I32EnumAttrCase<"Epochs", 1, "epochs">,
  I32EnumAttrCase<"Percent", 2, "percent">, I32EnumAttrCase<"Bytes", 3, "bytes">,
  I32EnumAttrCase<"Seconds", 4, "seconds">]>;
def Vcs_UnitAttr : EnumAttr<Vcs_Dialect, Vcs_Unit, "unit">;

def Vcs_Binary : Vcs_EnumBase<"Binary", [
  I32EnumAttrCase<"Add", 0, "add">, I32EnumAttrCase<"Sub", 1, "sub">, I32EnumAttrCase<"Mul", 2, "mul">,
  I32EnumAttrCase<"Div", 3, "div">, I32EnumAttrCase<"FloorDiv", 4, "floordiv">, I32EnumAttrCase<"Mod", 5, "mod">,
  I32EnumAttrCase<"Pow", 6, "pow">, I32EnumAttrCase<"Eq", 7, "eq">, I32EnumAttrCase<"Ne", 8, "ne">,
  I32EnumAttrCase<"Lt", 9, "lt">, I32EnumAttrCase<"Le", 10, "le">, I32EnumAttrCase<"Gt", 11, "gt">,
  I32EnumAttrCase<"Ge", 12, "ge">]>;
def Vcs_BinaryAttr : EnumAttr<Vcs_Dialect, Vcs_Binary, "binary_kind">;

def Vcs_Unary : Vcs_EnumBase<"Unary", [I32EnumAttrCase<"Neg", 0, "neg">, I32EnumAttrCase<"Not", 1, "not">]>;
def Vcs_UnaryAttr : EnumAttr<Vcs_Dialect, Vcs_Unary, "unary_kind">;

def Vcs_Logical : Vcs_EnumBase<"Logical", [I32EnumAttrCase<"And", 0, "and">, I32EnumAttrCase<"Or", 1, "or">]>;
def Vcs_LogicalAttr : EnumAttr<Vcs_Dialect, Vcs_Logical, "logical_kind">;

def Vcs_Role : Vcs_EnumBase<"Role", [
  I32EnumAttrCase<"Encoder", 0, "encoder">, I32EnumAttrCase<"QFormer", 1, "qformer">,
  I32EnumAttrCase<"Projector", 2, "projector">, I32EnumAttrCase<"Llm", 3, "llm">,
  I32EnumAttrCase<"Head", 4, "head">, I32EnumAttrCase<"Lora", 5, "lora">]>;
def Vcs_RoleAttr : EnumAttr<Vcs_Dialect, Vcs_Role, "role">;

def Vcs_SegmentRole : Vcs_EnumBase<"SegmentRole", [
  I32EnumAttrCase<"System", 0, "system">, I32EnumAttrCase<"Media", 1, "media">, I32EnumAttrCase<"User", 2, "user">,
  I32EnumAttrCase<"Assistant", 3, "assistant">, I32EnumAttrCase<"End", 4, "end">, I32EnumAttrCase<"Image", 5, "image">,
  I32EnumAttrCase<"Video", 6, "video">, I32EnumAttrCase<"First", 7, "first">]>;
def Vcs_SegmentRoleAttr : EnumAttr<Vcs_Dialect, Vcs_SegmentRole, "segment_role">;


def Vcs_Builtin : Vcs_EnumBase<"BuiltinType", [
  I32EnumAttrCase<"Any", 0, "any">, I32EnumAttrCase<"Int", 1, "int">, I32EnumAttrCase<"Float", 2, "float">,
  I32EnumAttrCase<"Bool", 3, "bool">, I32EnumAttrCase<"String", 4, "string">, I32EnumAttrCase<"Text", 5, "text">,
  I32EnumAttrCase<"Media", 6, "media">, I32EnumAttrCase<"Path", 7, "path">, I32EnumAttrCase<"Duration", 8, "duration">,
  I32EnumAttrCase<"Param", 9, "param">, I32EnumAttrCase<"List", 10, "list">]>;

def Vcs_Dtype : Vcs_EnumBase<"Dtype", [
  I32EnumAttrCase<"F32", 0, "f32">, I32EnumAttrCase<"I32", 1, "i32">, I32EnumAttrCase<"Bool", 2, "bool">,
  I32EnumAttrCase<"Any", 3, "any">]>;
def Vcs_DtypeAttr : EnumAttr<Vcs_Dialect, Vcs_Dtype, "dtype">;

// A record's leaf: what the JSON value must be.
def Vcs_RecordType : Vcs_EnumBase<"RecordType", [
  I32EnumAttrCase<"String", 0, "string">, I32EnumAttrCase<"Int", 1, "int">, I32EnumAttrCase<"Float", 2, "float">,
  I32EnumAttrCase<"Bool", 3, "bool">, I32EnumAttrCase<"Path", 4, "path">, I32EnumAttrCase<"Record", 5, "record">]>;
def Vcs_RecordTypeAttr : EnumAttr<Vcs_Dialect, Vcs_RecordType, "record_type">;

def Vcs_SegmentKind : Vcs_EnumBase<"SegmentKind", [
  I32EnumAttrCase<"Name", 0, "name">, I32EnumAttrCase<"Any", 1, "any">, I32EnumAttrCase<"Index", 2, "index">,
  I32EnumAttrCase<"Range", 3, "range">, I32EnumAttrCase<"AllIndices", 4, "all">]>;

def Vcs_DimKind : Vcs_EnumBase<"DimKind", [
  I32EnumAttrCase<"Ellipsis", 0, "ellipsis">, I32EnumAttrCase<"Symbol", 1, "symbol">,
  I32EnumAttrCase<"Number", 2, "number">, I32EnumAttrCase<"Expression", 3, "expression">]>;

def Vcs_MomentKind : Vcs_EnumBase<"MomentKind", [I32EnumAttrCase<"End", 0, "end">, I32EnumAttrCase<"Every", 1, "every">]>;

class Vcs_Attr<string name, string attrMnemonic> : AttrDef<Vcs_Dialect, name> { let mnemonic = attrMnemonic; }

// One step of a path. Index: `first` (negative counts from the end). Range: [first, last), `last` is INT64_MAX where it is open.
// line, column, length: where it stands in the file of the op's location (line 0: unknown).
def Vcs_SegmentAttr : Vcs_Attr<"Segment", "segment"> {
  let parameters = (ins "::vcc::vcs::SegmentKind":$kind, "::mlir::StringAttr":$name, "int64_t":$first, "int64_t":$last,
                        "unsigned":$line, "unsigned":$column, "unsigned":$length);
  let assemblyFormat = "`<` $kind `,` $name `,` $first `,` $last `,` $line `,` $column `,` $length `>`";
}

// One alternative of a selector, e.g. "lm.layers[*].q_proj". Indices are segments of their own.
def Vcs_PathAttr : Vcs_Attr<"Path", "path"> {
  let parameters = (ins ArrayRefParameter<"::vcc::vcs::SegmentAttr">:$segments);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// The path as a recipe would write it.
    std::string str() const;
  }];
}

def Vcs_SelectorAttr : Vcs_Attr<"Selector", "selector"> {
  let parameters = (ins ArrayRefParameter<"::vcc::vcs::PathAttr">:$alternatives,
                        OptionalArrayRefParameter<"::vcc::vcs::PathAttr">:$except);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// The selector as a recipe would write it, braces expanded.
    std::string str() const;
  }];
}
def Vcs_SelectorArrayAttr : TypedArrayAttrBase<Vcs_SelectorAttr, "selectors">;

def Vcs_NamedTypeAttr : Vcs_Attr<"NamedType", "named"> {
  let parameters = (ins "::vcc::vcs::BuiltinType":$value);
  let assemblyFormat = "`<` $value `>`";
}

// A layer or struct as a type.
def Vcs_DeclaredTypeAttr : Vcs_Attr<"DeclaredType", "declared"> {
  let parameters = (ins "::mlir::SymbolRefAttr":$symbol);
  let assemblyFormat = "`<` $symbol `>`";
}

// One axis: `..`, a symbol bound by the call, a number, or the `index`-th value yielded by the `dims` region beside the type.
def Vcs_DimAttr : Vcs_Attr<"Dim", "dim"> {
  let parameters = (ins "::vcc::vcs::DimKind":$kind, "::mlir::StringAttr":$symbol, "int64_t":$number);
  let assemblyFormat = "`<` $kind `,` $symbol `,` $number `>`";
}

// A shape. `param`: a weight handed in to be shared, not a tensor.
def Vcs_TensorTypeAttr : Vcs_Attr<"TensorType", "tensor"> {
  let parameters = (ins "::vcc::vcs::Dtype":$dtype, ArrayRefParameter<"::vcc::vcs::DimAttr">:$dims, "bool":$param);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// Number of values that the `dims` region yields.
    unsigned getNumExpressions() const;
  }];
}

// When a stage evaluates, saves or logs.
def Vcs_MomentAttr : Vcs_Attr<"Moment", "when"> {
  let parameters = (ins "::vcc::vcs::MomentKind":$kind, "::mlir::FloatAttr":$every, "::vcc::vcs::Unit":$unit);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    static MomentAttr atEnd(::mlir::MLIRContext *context);
    static MomentAttr every(::mlir::MLIRContext *context, double amount, ::vcc::vcs::Unit unit);
    double getAmount() const { return getEvery().getValueAsDouble(); }
  }];
}

#endif
