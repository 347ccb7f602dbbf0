// SPDX-License-Identifier: Apache-2.0
// A stage and what it says. Stages are not symbols: they are found by name or number (`findStage` in Vcs.h).
//
//   vcs.stage "instruct" number 3 of @main::@M { ... }
//   vcs.uses #sel · vcs.train #sel · vcs.freeze #sel · vcs.idle #sel · vcs.recompute #sel           one op per selector
//   vcs.start [#sel, ...] { vcs.from_stage "align" · vcs.from_file {yield} rename [..] inside ".." · vcs.from_init }   in order; no selector: all the rest
//   vcs.batch { vcs.rows "clips" count {yield} from {yield list} options {...}   `branch`: one of `alternate`; `weights {yield ...}`: of `weighted`
//               vcs.text_field "question" {yield tokenizer or template} options {...}
//               vcs.label_field "shape" options {...}   vcs.identity_field "same" options {...}   vcs.accumulate {yield} options {...} }
//   vcs.loss { expressions ... vcs.term "cap", %v ... vcs.yield }
//   vcs.optimize {yield optimizer} options { vcs.option "lr" {..}  vcs.per_weight "lr" [#sel] {yield} }   no selector: `else`
//   vcs.schedule {yield schedule} options {...}   vcs.precision {yield}
//   vcs.evaluate "held" #vcs.when<end> on {yield dataset} options {...}   (`score` is an option)
//   vcs.save #vcs.when<...> {option*}   vcs.log #vcs.when<...>
#ifndef VCC_DIALECTS_VCS_STAGES
#define VCC_DIALECTS_VCS_STAGES

include "mlir/IR/SymbolInterfaces.td"
include "dialects/vcs/VcsDialect.td"
include "dialects/vcs/VcsTypes.td"
include "dialects/vcs/VcsAttrs.td"

class Vcs_StageClause<string mnemonic, list<Trait> traits = []>
    : Vcs_Op<mnemonic, !listconcat([HasParent<"StageOp">], traits)>;

def Vcs_StageOp : Vcs_Op<"stage", [HasParent<"ModuleOp">, SingleBlock, NoTerminator, NoRegionArguments,
                                   DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let arguments = (ins StrAttr:$name, OptionalAttr<I64Attr>:$number, SymbolRefAttr:$model, OptionalAttr<StrAttr>:$doc);
  let regions = (region SizedRegion<1>:$bodyRegion);
  let assemblyFormat = "$name (`number` $number^)? `of` $model (`doc` $doc^)? $bodyRegion attr-dict";
}

class Vcs_Selection<string mnemonic> : Vcs_StageClause<mnemonic> {
  let arguments = (ins Vcs_SelectorAttr:$selector);
  let assemblyFormat = "$selector attr-dict";
}
def Vcs_UsesOp : Vcs_Selection<"uses">;
def Vcs_TrainOp : Vcs_Selection<"train">;
def Vcs_FreezeOp : Vcs_Selection<"freeze">;
def Vcs_IdleOp : Vcs_Selection<"idle">;
def Vcs_RecomputeOp : Vcs_Selection<"recompute">;

def Vcs_StartOp : Vcs_StageClause<"start", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "where weights come from: the first of the sources that is there";
  let arguments = (ins Vcs_SelectorArrayAttr:$selectors, OptionalAttr<Vcs_SelectorAttr>:$except);
  let regions = (region SizedRegion<1>:$sources);
  let assemblyFormat = "$selectors (`except` $except^)? $sources attr-dict";
}
def Vcs_FromStageOp : Vcs_Op<"from_stage", [HasParent<"StartOp">]> {
  let arguments = (ins StrAttr:$stage);
  let assemblyFormat = "$stage attr-dict";
}
def Vcs_FromFileOp : Vcs_Op<"from_file", [HasParent<"StartOp">]> {
  let summary = "a file of weights; `rename` are pairs of patterns that make its keys paths, `inside` the dictionary of it that is meant";
  let arguments = (ins OptionalAttr<TypedArrayAttrBase<StrArrayAttr, "pairs of patterns">>:$rename, OptionalAttr<StrAttr>:$inside);
  let regions = (region AnyRegion:$file);
  let assemblyFormat = "$file (`rename` $rename^)? (`inside` $inside^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_FromInitOp : Vcs_Op<"from_init", [HasParent<"StartOp">]> {
  let assemblyFormat = "attr-dict";
}

def Vcs_BatchOp : Vcs_StageClause<"batch", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let regions = (region SizedRegion<1>:$bodyRegion);
  let assemblyFormat = "$bodyRegion attr-dict";
}
def Vcs_RowsOp : Vcs_Op<"rows", [HasParent<"BatchOp">, SingleBlock, NoTerminator]> {
  let summary = "how many samples, from which datasets, and how their media are read";
  let arguments = (ins StrAttr:$name, UnitAttr:$branch);
  let regions = (region AnyRegion:$count, AnyRegion:$source, AnyRegion:$options, AnyRegion:$weights);
  let assemblyFormat = "$name (`branch` $branch^)? `count` $count `from` $source `options` $options (`weights` $weights^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_TextFieldOp : Vcs_Op<"text_field", [HasParent<"BatchOp">, SingleBlock, NoTerminator]> {
  let summary = "tokens of each sample, by a tokenizer or a template";
  let arguments = (ins StrAttr:$name);
  let regions = (region AnyRegion:$source, AnyRegion:$options);
  let assemblyFormat = "$name $source `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_LabelFieldOp : Vcs_Op<"label_field", [HasParent<"BatchOp">, SingleBlock, NoTerminator]> {
  let summary = "the index of a record's field in a list of values";
  let arguments = (ins StrAttr:$name);
  let regions = (region AnyRegion:$options);
  let assemblyFormat = "$name `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_IdentityFieldOp : Vcs_Op<"identity_field", [HasParent<"BatchOp">, SingleBlock, NoTerminator]> {
  let summary = "a number for each value of a record's field: equal numbers, equal values";
  let arguments = (ins StrAttr:$name);
  let regions = (region AnyRegion:$options);
  let assemblyFormat = "$name `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_AccumulateOp : Vcs_Op<"accumulate", [HasParent<"BatchOp">, SingleBlock, NoTerminator]> {
  let summary = "micro-batches of a step, of which branches, and what becomes of the rest of an epoch";
  let regions = (region AnyRegion:$count, AnyRegion:$options);
  let assemblyFormat = "$count (`options` $options^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_LossOp : Vcs_StageClause<"loss"> {
  let regions = (region AnyRegion:$body);
  let assemblyFormat = "$body attr-dict";
  let hasVerifier = 1;
}
def Vcs_TermOp : Vcs_Op<"term", [HasParent<"LossOp">]> {
  let summary = "a named scalar that is added to the loss and logged";
  let arguments = (ins StrAttr:$name, Vcs_Value:$value);
  let assemblyFormat = "$name `,` $value attr-dict";
}
def Vcs_OptimizeOp : Vcs_StageClause<"optimize", [SingleBlock, NoTerminator]> {
  let regions = (region AnyRegion:$optimizer, AnyRegion:$options);
  let assemblyFormat = "$optimizer `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_PerWeightOp : Vcs_Op<"per_weight", [HasParent<"OptimizeOp">]> {
  let summary = "the value of a key for some weights; without a selector: for all others";
  let arguments = (ins StrAttr:$name, OptionalAttr<Vcs_SelectorAttr>:$selector);
  let regions = (region AnyRegion:$value);
  let assemblyFormat = "$name (`of` $selector^)? $value attr-dict";
  let hasVerifier = 1;
}
def Vcs_ScheduleOp : Vcs_StageClause<"schedule", [SingleBlock, NoTerminator]> {
  let regions = (region AnyRegion:$schedule, AnyRegion:$options);
  let assemblyFormat = "$schedule `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_PrecisionOp : Vcs_StageClause<"precision", [SingleBlock, NoTerminator]> {
  let summary = "what the stage computes in: `f32`, `tf32`, `bf16` or `fp16`; options are those of a loss scale";
  let regions = (region AnyRegion:$kind, AnyRegion:$options);
  let assemblyFormat = "$kind (`options` $options^)? attr-dict";
  let hasVerifier = 1;
}
def Vcs_EvaluateOp : Vcs_StageClause<"evaluate", [SingleBlock, NoTerminator]> {
  let arguments = (ins StrAttr:$name, Vcs_MomentAttr:$when);
  let regions = (region AnyRegion:$dataset, AnyRegion:$options);
  let assemblyFormat = "$name $when `on` $dataset `options` $options attr-dict";
  let hasVerifier = 1;
}
def Vcs_ParallelOp : Vcs_StageClause<"parallel", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "the stage may be run by several ranks: `shard` and, where it is compiled for a count, `ranks`";
  let regions = (region SizedRegion<1>:$options);
  let assemblyFormat = "$options attr-dict";
}
def Vcs_SaveOp : Vcs_StageClause<"save", [SingleBlock, NoTerminator, NoRegionArguments]> {
  let arguments = (ins Vcs_MomentAttr:$when);
  let regions = (region SizedRegion<1>:$options);
  let assemblyFormat = "$when $options attr-dict";
}
def Vcs_LogOp : Vcs_StageClause<"log"> {
  let arguments = (ins Vcs_MomentAttr:$when);
  let assemblyFormat = "$when attr-dict";
}

#endif
