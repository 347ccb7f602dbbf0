// SPDX-License-Identifier: Apache-2.0
//
// What stands after a dot: members of parts, structs, tensors, text fields and of the batch.
#include "compiler/elaborate/Evaluator.h"
#include "compiler/elaborate/TextFields.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

FailureOr<int64_t> Evaluator::ranks(mlir::Location loc) {
  if (!function)
    return fault(FaultKind::BadValue, loc, "the number of ranks is known only in a loss or a score");
  if (!function->ranks)
    return fault(FaultKind::BadValue, loc, "the number of ranks must be known to compile this")
        .help("say it, as in `parallel { shard: none, ranks: 2 }`");
  return *function->ranks;
}

FailureOr<Value> Evaluator::get(const Value &object, StringRef name, mlir::Location loc) {
  if (Part *part = object.asPart())
    return partMember(*part, name, loc);
  if (auto *record = object.asStruct()) {
    if (const Value *value = record->find(name))
      return *value;
    std::vector<std::string> known;
    for (auto &[key, value] : record->fields)
      known.push_back(key.str());
    return fault(FaultKind::UnknownField, loc, object.describe() + " has no `" + name.str() + "`")
        .help(suggest(name, known));
  }
  if (auto field = object.asTextField())
    return textMember(*field, name, loc);
  if (object.isBatch() && name == "samples") {
    if (!function)
      return fault(FaultKind::BadValue, loc, "`batch.samples` is known only in a loss or a score");
    return Value(function->input("batch.samples", {}, function->graph.ops.getF32Type(), {}));
  }
  if (object.isBatch() && name == "ranks") {
    auto count = ranks(loc);
    return failed(count) ? FailureOr<Value>(failure()) : Value(*count);
  }
  if (object.isBatch() && name == "rank") {
    if (!function)
      return fault(FaultKind::BadValue, loc, "`batch.rank` is known only in a loss or a score");
    mlir::Type element = function->graph.ops.getI32Type();
    if (function->ranks == 1)
      return Value(function->graph.splat(0, element, {}));
    return Value(function->input("batch.rank", {}, element, {}));
  }
  if (object.isBatch() && (name == "ids" || name == "local_ids")) {
    if (!function)
      return fault(FaultKind::BadValue, loc,
                   "`batch." + name.str() + "` is known only in a loss or a score");
    DimOrigin origin{loc, mlir::StringAttr::get(context(), "the number of rows")};
    return Value(function->input(("batch." + name).str(), {function->rows},
                                 function->graph.ops.getI32Type(), {origin}));
  }
  if (object.isBatch() && name == "branch") {
    if (!function)
      return fault(FaultKind::BadValue, loc, "`batch.branch` is known only in a loss or a score");
    return function->branch.empty() ? Value() : Value(function->branch);
  }
  if (object.isBatch() && name == "clip_rows") {
    if (!function)
      return fault(FaultKind::BadValue, loc, "`batch.clip_rows` is known only in a loss or a score");
    if (!function->clips)
      return Value();
    if (function->tiled)
      return Value(function->clipInput("rows", function->rows));
    GraphBuilder &g = function->graph;
    auto type = mlir::RankedTensorType::get({function->rows}, g.ops.getI32Type());
    return Value(g.wrap(g.ops.create<tg::IotaOp>(g.loc, type, g.ops.getI64IntegerAttr(0))));
  }
  if (object.isBatch())
    return fault(FaultKind::UnknownField, loc, "`batch` has no `" + name.str() + "`")
        .help(suggest(name, {"samples", "branch", "ids", "local_ids", "clip_rows", "rank", "ranks"}));
  if (object.asTensor() || object.asWeight()) {
    ArrayRef<int64_t> shape = object.asTensor() ? object.asTensor()->type().getShape()
                                                : ArrayRef<int64_t>(object.asWeight()->shape);
    if (name == "shape") {
      std::vector<Value> sizes;
      for (int64_t size : shape)
        sizes.push_back(Value(size));
      return Value::list(std::move(sizes));
    }
    if (name == "rank")
      return Value(static_cast<int64_t>(shape.size()));
    if (name == "dtype") {
      std::string element = object.asTensor() ? formatElement(object.asTensor()->element()) : "f32";
      return Value(BuiltinName{mlir::StringAttr::get(context(), element)});
    }
    return fault(FaultKind::UnknownField, loc, object.describe() + " has no `" + name.str() + "`")
        .help(suggest(name, {"shape", "rank", "dtype"}));
  }
  return fault(FaultKind::UnknownField, loc, object.describe() + " has no `" + name.str() + "`");
}

static void declaredNames(mlir::Block &block, std::vector<std::string> &names) {
  for (mlir::Operation &op : block) {
    if (auto choice = llvm::dyn_cast<vcs::StaticIfOp>(op))
      for (mlir::Region *region : {&choice.getThen(), &choice.getOtherwise()})
        if (!region->empty())
          declaredNames(region->front(), names);
    if (auto weight = llvm::dyn_cast<vcs::WeightOp>(op))
      names.push_back(weight.getName().str());
    if (auto field = llvm::dyn_cast<vcs::FieldOp>(op))
      names.push_back(field.getName().str());
  }
}

FailureOr<Value> Evaluator::partMember(Part &part, StringRef name, mlir::Location loc) {
  auto key = mlir::StringAttr::get(context(), name);
  auto found = part.fields.find(key);
  if (found != part.fields.end()) {
    auto value = field(part, found->second);
    Weight *weight = succeeded(value) ? value->asWeight() : nullptr;
    bool leftOut =
        weight && function && function->uses && !function->uses(*weight) && part.mayLack(name);
    return leftOut ? FailureOr<Value>(Value()) : value;
  }
  std::vector<std::string> known;
  declaredNames(part.layer->getRegion(0).front(), known);
  // An optional field that this instance does not have. A parameter of that name does not stand in
  // for it.
  if (llvm::is_contained(known, name))
    return Value();
  auto argument = part.arguments.find(key);
  if (argument != part.arguments.end())
    return argument->second;
  if (vcs::FnOp method = findMethod(part, name))
    return Value(Callable{method, &part});
  for (auto &entry : part.arguments)
    known.push_back(entry.first.str());
  for (auto method : part.layer->getRegion(0).front().getOps<vcs::FnOp>())
    known.push_back(method.getSymName().str());
  return fault(FaultKind::UnknownField, loc,
               "`" + part.layerName() + "` has no `" + name.str() + "`")
      .note(part.layer->getLoc(), "`" + part.layerName() + "` is declared here")
      .help(suggest(name, known));
}

FailureOr<Value> Evaluator::textMember(TextField &field, StringRef name, mlir::Location loc) {
  TextFieldSource &source = *field.source;
  if (name == "visual")
    return field.visual ? Value(*field.visual) : Value();
  static const std::vector<std::string> known = {"ids", "length", "labels",     "supervised",
                                                 "at",  "visual", "max_tokens", "targets", "side", "starts"};
  if (name == "max_tokens")
    return Value(field.length());
  if (name == "side")
    return Value(source.side);
  if (name == "starts" && source.pack == 1)
    return Value();
  if (!llvm::is_contained(known, name.str()))
    return fault(FaultKind::UnknownField, loc, "a text field has no `" + name.str() + "`")
        .help(suggest(name, known));
  if (!function)
    return fault(FaultKind::BadValue, loc,
                 "the tokens of `" + source.name + "` are known only in a loss or a score");
  if (source.visual && *source.visual != field.visualRows())
    return fault(FaultKind::ShapeMismatch, loc,
                 "`" + source.name + "` is read with " + std::to_string(field.visualRows()) +
                     " visual rows here but with " + std::to_string(*source.visual) + " elsewhere")
        .note(*source.readAt, "first read here")
        .help("declare a second text field");
  source.visual = field.visualRows();
  if (!source.readAt)
    source.readAt = loc;
  if (name == "at" && !field.visual)
    return fault(FaultKind::UnknownField, loc, "`at` is known only after `splice`");
  // Where all text is supervised and nothing is spliced there is nothing to choose.
  if (name == "targets" && source.supervisesAll && !field.visual)
    return Value();
  GraphBuilder &g = function->graph;
  std::string input = source.name + "." + name.str();
  DimOrigin rows{source.loc, mlir::StringAttr::get(context(), "the number of rows")};
  DimOrigin length{
      source.loc,
      mlir::StringAttr::get(context(), field.visual
                                           ? "the length of `" + source.name + "` with visual rows"
                                           : "`max_tokens` of `" + source.name + "`")};
  if (name == "supervised")
    return Value(function->input(input, {}, g.ops.getF32Type(), {}));
  if (name == "length")
    return Value(function->input(input, {source.rows()}, g.ops.getI32Type(), {rows}));
  if (name == "targets") {
    DimOrigin most{source.loc, mlir::StringAttr::get(context(), "`max_tokens` of `" + source.name + "`")};
    Tensor targets = function->input(input, {source.rows(), source.maxTokens}, g.ops.getI32Type(), {rows, most});
    auto what = mlir::StringAttr::get(context(), "the positions of `" + source.name + "`");
    g.idBounds.insert({targets.value, {source.rows() * field.length(), {source.loc, what}}});
    return Value(targets);
  }
  Tensor tokens =
      function->input(input, {source.rows(), field.length()}, g.ops.getI32Type(), {rows, length});
  if (source.ids && (name == "ids" || name == "labels"))
    g.idBounds.insert({tokens.value, *source.ids});
  if (name == "starts") {
    int64_t longest = std::min(field.length(), source.sampleTokens + field.visualRows());
    g.packedSamples.insert({tokens.value, {source.name + ".length", source.samples, longest}});
  }
  return Value(tokens);
}

} // namespace vcc::elaborate
