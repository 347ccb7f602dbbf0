// SPDX-License-Identifier: Apache-2.0
// Modules and the declarations of parts, functions, models and data. See VcsDialect.td for the rules that all follow.
//
//   vcs.module @"a.b" [main] { ... }                    vcs.const @n {yield}
//   vcs.struct @S { param* }                            vcs.param "n" : #type [dims {yield e0, e1}] [default {yield}]
//   vcs.layer @L { param*, (weight | field | static_if | group)*, fn* }
//   vcs.weight "w" f32 shape {yield d0, d1} init {yield} [within {yield lo, hi}]     vcs.field "f" {yield}
//   vcs.static_if {yield cond} then { fields } else { fields }                        vcs.group "text" = [#sel, ...]
//   vcs.fn @f [method] params { param*, [result] } body {^([self,] params...)}       vcs.op @exp { param*, result }
//   vcs.model @M { vcs.component "vision" encoder {yield} · vcs.lora "adapter" [#sel] { option* } }
//   vcs.dataset_format @f { param*, vcs.record_field "turns" keys ["QA"] record [list] { record_field* } }
//   vcs.dataset @d {yield call} options { option* }      vcs.tokenizer @t {yield call}
//   vcs.template @t { vcs.segment user "{q}" ...  vcs.prompts ["..."] }
//   vcs.optimizer @rule { param*, vcs.state "m" {yield}, fn* }    vcs.schedule_decl @curve { param*, fn* }
//   vcs.option "key" {yield}
#ifndef VCC_DIALECTS_VCS_DECLARATIONS
#define VCC_DIALECTS_VCS_DECLARATIONS

include "mlir/IR/SymbolInterfaces.td"
include "dialects/vcs/VcsDialect.td"
include "dialects/vcs/VcsTypes.td"
include "dialects/vcs/VcsAttrs.td"

class Vcs_Declaration<string mnemonic, list<Trait> traits = []>
    : Vcs_Op<mnemonic, !listconcat([Symbol, HasParent<"ModuleOp">], traits)>;
class Vcs_Container<string mnemonic, list<Trait> traits = []>
    : Vcs_Declaration<mnemonic, !listconcat([SymbolTable, SingleBlock, NoTerminator, NoRegionArguments], traits)> {
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<StrAttr>:$doc);
  let regions = (region SizedRegion<1>:$bodyRegion);
  let assemblyFormat = "$sym_name (`doc` $doc^)? $bodyRegion attr-dict";
}

def Vcs_ModuleOp : Vcs_Op<"module", [Symbol, SymbolTable, SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "one source file; `main` marks the recipe itself";
  let arguments = (ins SymbolNameAttr:$sym_name, UnitAttr:$main, OptionalAttr<StrAttr>:$doc);
  let regions = (region SizedRegion<1>:$bodyRegion);
  let assemblyFormat = "$sym_name (`main` $main^)? (`doc` $doc^)? $bodyRegion attr-dict";
}
def Vcs_ConstOp : Vcs_Declaration<"const"> {
  let summary = "a compile-time constant; -D replaces its region";
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$value);
  let assemblyFormat = "$sym_name (`doc` $doc^)? $value attr-dict";
  let hasVerifier = 1;
}
def Vcs_ParamOp : Vcs_Op<"param"> {
  let arguments = (ins StrAttr:$name, AnyAttr:$type);
  let regions = (region AnyRegion:$dims, AnyRegion:$default);
  let assemblyFormat = "$name `:` $type (`dims` $dims^)? (`default` $default^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_ResultOp : Vcs_Op<"result"> {
  let arguments = (ins AnyAttr:$type);
  let regions = (region AnyRegion:$dims);
  let assemblyFormat = "`:` $type (`dims` $dims^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_StructOp : Vcs_Container<"struct">;
def Vcs_LayerOp : Vcs_Container<"layer">;
def Vcs_WeightOp : Vcs_Op<"weight", [ParentOneOf<["LayerOp", "StaticIfOp"]>]> {
  let summary = "a weight of a layer: its shape, initialiser and bounds";
  let arguments = (ins StrAttr:$name, Vcs_DtypeAttr:$dtype, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$shape, AnyRegion:$init, AnyRegion:$within);
  let assemblyFormat = "$name `` $dtype `shape` $shape `init` $init (`within` $within^)? (`doc` $doc^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_FieldOp : Vcs_Op<"field", [ParentOneOf<["LayerOp", "StaticIfOp"]>]> {
  let summary = "a part, a list of parts, a shared weight or a plain value";
  let arguments = (ins StrAttr:$name, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$value);
  let assemblyFormat = "$name $value (`doc` $doc^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_StaticIfOp : Vcs_Op<"static_if", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "fields that exist only if a compile-time condition holds";
  let regions = (region AnyRegion:$condition, AnyRegion:$then, AnyRegion:$otherwise);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}
def Vcs_GroupOp : Vcs_Op<"group", [HasParent<"LayerOp">]> {
  let summary = "a named selector, relative to the layer";
  let arguments = (ins StrAttr:$name, Vcs_SelectorArrayAttr:$selectors);
  let assemblyFormat = "$name `=` $selectors attr-dict";
}
def Vcs_FnOp : Vcs_Op<"fn", [Symbol, NoTerminator]> {
  let arguments = (ins SymbolNameAttr:$sym_name, UnitAttr:$method, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$params, AnyRegion:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}
def Vcs_OpOp : Vcs_Container<"op"> {
  let summary = "the signature of a tensor operation; only the prelude has these";
}
def Vcs_ModelOp : Vcs_Container<"model">;
def Vcs_ComponentOp : Vcs_Op<"component", [HasParent<"ModelOp">]> {
  let arguments = (ins StrAttr:$name, Vcs_RoleAttr:$role, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$value);
  let assemblyFormat = "$name `` $role $value (`doc` $doc^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_LoraOp : Vcs_Op<"lora", [HasParent<"ModelOp">, SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "adapters around every part that the selectors name";
  let arguments = (ins StrAttr:$name, Vcs_SelectorArrayAttr:$selectors, OptionalAttr<StrAttr>:$doc);
  let regions = (region SizedRegion<1>:$options);
  let assemblyFormat = "$name $selectors $options (`doc` $doc^)? attr-dict";
}
def Vcs_OptionOp : Vcs_Op<"option"> {
  let summary = "`key: value`";
  let arguments = (ins StrAttr:$name);
  let regions = (region AnyRegion:$value);
  let assemblyFormat = "$name $value attr-dict";
  let hasVerifier = 1;
}
def Vcs_DatasetFormatOp : Vcs_Container<"dataset_format"> {
  let summary = "what one JSON record of an annotation file holds";
}
def Vcs_RecordFieldOp : Vcs_Op<"record_field", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "a field of the record: the JSON keys (dotted paths) that may bear it, its type, whether it is a list";
  let arguments = (ins StrAttr:$name, StrArrayAttr:$keys, Vcs_RecordTypeAttr:$type, UnitAttr:$list);
  let regions = (region SizedRegion<1>:$fields);
  let assemblyFormat = "$name `keys` $keys `` $type (`list` $list^)? $fields attr-dict";
}
def Vcs_DatasetOp : Vcs_Declaration<"dataset", [SingleBlock, NoTerminator]> {
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$source, AnyRegion:$options);
  let assemblyFormat = "$sym_name (`doc` $doc^)? $source `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_TokenizerOp : Vcs_Declaration<"tokenizer"> {
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<StrAttr>:$doc);
  let regions = (region AnyRegion:$source);
  let assemblyFormat = "$sym_name (`doc` $doc^)? $source attr-dict";
  let hasVerifier = 1;
}
def Vcs_TemplateOp : Vcs_Container<"template">;
def Vcs_SegmentOp : Vcs_Op<"segment", [HasParent<"TemplateOp">]> {
  let arguments = (ins Vcs_SegmentRoleAttr:$role, StrAttr:$text);
  let assemblyFormat = "`` $role $text attr-dict";
}
def Vcs_PromptsOp : Vcs_Op<"prompts", [HasParent<"TemplateOp">]> {
  let arguments = (ins StrArrayAttr:$texts, UnitAttr:$for_images);
  let assemblyFormat = "(`image` $for_images^)? $texts attr-dict";
}
def Vcs_OptimizerOp : Vcs_Container<"optimizer">;
def Vcs_StateOp : Vcs_Op<"state", [HasParent<"OptimizerOp">]> {
  let arguments = (ins StrAttr:$name);
  let regions = (region AnyRegion:$init);
  let assemblyFormat = "$name $init attr-dict";
  let hasVerifier = 1;
}
def Vcs_ScheduleDeclOp : Vcs_Container<"schedule_decl">;

#endif
