// SPDX-License-Identifier: Apache-2.0
//
// Reductions, movement, products, losses and random draws of the prelude.
#include "compiler/elaborate/IdBounds.h"
#include "compiler/elaborate/Operations.h"
#include "compiler/elaborate/TextFields.h"

#include <cmath>
#include <numeric>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

static FailureOr<Value> done(FailureOr<Tensor> tensor) {
  if (failed(tensor))
    return failure();
  return Value(std::move(*tensor));
}

/// The axes that `axis` names: all of them for none.
static FailureOr<std::vector<int64_t>> axes(OperationCall &call, const Tensor &x) {
  if (!call.at("axis").isNone())
    return call.integers("axis");
  std::vector<int64_t> all(x.rank());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

template <tg::ReduceKind kind>
static FailureOr<Value> reduce(OperationCall &call) {
  auto x = call.tensor("x");
  auto keep = call.flag("keep");
  if (failed(x) || failed(keep))
    return failure();
  auto over = axes(call, *x);
  if (failed(over))
    return failure();
  return done(call.graph().reduce(kind, *x, *over, *keep));
}

static FailureOr<Value> mean(OperationCall &call) {
  auto x = call.tensor("x");
  auto keep = call.flag("keep");
  if (failed(x) || failed(keep))
    return failure();
  auto over = axes(call, *x);
  if (failed(over))
    return failure();
  return done(call.graph().mean(*x, *over, *keep));
}

/// `max` and `min`: of several numbers, of a list of numbers, or over axes of a tensor.
template <tg::ReduceKind kind>
static FailureOr<Value> extreme(OperationCall &call) {
  std::vector<Value> numbers = call.positional;
  if (numbers.empty() && call.at("x").isNumber())
    numbers = {call.at("x")};
  if (auto *items = call.at("x").asSequence(); numbers.empty() && items)
    numbers = *items;
  if (numbers.empty())
    return reduce<kind>(call);
  Value best = numbers.front();
  for (const Value &value : numbers) {
    if (!value.isNumber())
      return call.fault(FaultKind::TypeMismatch,
                        "`" + call.name.str() + "` of " + value.describe());
    bool larger = *value.asNumber() > *best.asNumber();
    bool smaller = *value.asNumber() < *best.asNumber();
    if (kind == tg::ReduceKind::Max ? larger : smaller)
      best = value;
  }
  return best;
}

static FailureOr<Value> reshape(OperationCall &call) {
  auto x = call.tensor("x");
  auto shape = call.integers("shape");
  if (failed(x) || failed(shape))
    return failure();
  return done(call.graph().reshape(*x, *shape));
}

static FailureOr<Value> transpose(OperationCall &call) {
  auto x = call.tensor("x");
  auto permutation = call.integers("permutation");
  if (failed(x) || failed(permutation))
    return failure();
  return done(call.graph().transpose(*x, *permutation));
}

static FailureOr<Value> broadcast(OperationCall &call) {
  auto x = call.tensor("x");
  auto shape = call.shape("shape");
  if (failed(x) || failed(shape))
    return failure();
  GraphBuilder &g = call.graph();
  llvm::SmallVector<DimOrigin> origins(shape->size(), g.here());
  return done(g.broadcast(*x, *shape, origins));
}

static FailureOr<Value> concat(OperationCall &call) {
  auto parts = call.evaluator.elements(call.at("parts"), call.loc);
  auto axis = call.integer("axis");
  if (failed(parts) || failed(axis) || failed(call.needGraph()))
    return failure();
  std::vector<Tensor> tensors;
  for (const Value &part : *parts) {
    auto tensor = call.evaluator.toTensor(part, call.loc);
    if (failed(tensor))
      return failure();
    tensors.push_back(*tensor);
  }
  return done(call.graph().concat(tensors, *axis));
}

static FailureOr<Value> pad(OperationCall &call) {
  auto x = call.tensor("x");
  auto axis = call.integer("axis"), before = call.integer("before"), after = call.integer("after");
  auto value = call.number("value");
  if (failed(x) || failed(axis) || failed(before) || failed(after) || failed(value))
    return failure();
  return done(call.graph().pad(*x, *axis, *before, *after, *value));
}

static FailureOr<Value> gather(OperationCall &call) {
  auto table = call.tensor("table"), ids = call.tensor("ids");
  if (failed(table) || failed(ids))
    return failure();
  GraphBuilder &g = call.graph();
  if (table->rank() > 0 && failed(requireIdsWithin(g, *ids, *table, 0, "rows")))
    return failure();
  return done(g.gather(*table, *ids));
}

static FailureOr<Value> allGather(OperationCall &call) {
  auto x = call.tensor("x");
  auto ranks = call.evaluator.ranks(call.loc);
  if (failed(x) || failed(ranks))
    return failure();
  return done(call.graph().allGather(*x, *ranks));
}

static FailureOr<Value> scatterAdd(OperationCall &call) {
  auto rows = call.integer("rows");
  auto ids = call.tensor("ids"), updates = call.tensor("updates");
  if (failed(rows) || failed(ids) || failed(updates))
    return failure();
  if (*rows < 1)
    return call.fault(FaultKind::BadValue, "`scatter_add` needs at least one row");
  return done(call.graph().scatterAdd(*rows, *ids, *updates));
}

static FailureOr<Value> iota(OperationCall &call) {
  auto n = call.integer("n");
  if (failed(n) || failed(call.needGraph()))
    return failure();
  if (*n < 1 || *n > INT32_MAX)
    return call.fault(FaultKind::BadValue, "`iota` of " + std::to_string(*n));
  GraphBuilder &g = call.graph();
  auto type = mlir::RankedTensorType::get({*n}, g.ops.getI32Type());
  return Value(g.wrap(g.ops.create<tg::IotaOp>(g.loc, type, g.ops.getI64IntegerAttr(0))));
}

static FailureOr<Value> full(OperationCall &call) {
  auto shape = call.shape("shape");
  auto value = call.number("value");
  if (failed(shape) || failed(value) || failed(call.needGraph()))
    return failure();
  GraphBuilder &g = call.graph();
  mlir::Type element =
      call.at("value").asInt() ? mlir::Type(g.ops.getI32Type()) : g.ops.getF32Type();
  return Value(g.splat(*value, element, *shape));
}

/// `zeros` and `ones`: an initialiser without a shape, a tensor with one.
template <int value>
static FailureOr<Value> filled(OperationCall &call) {
  if (call.at("shape").isNone())
    return Value(Initializer{value ? Initializer::Kind::Ones : Initializer::Kind::Zeros});
  auto shape = call.shape("shape");
  if (failed(shape) || failed(call.needGraph()))
    return failure();
  return Value(call.graph().splat(value, call.graph().ops.getF32Type(), *shape));
}

static std::string sitePath(OperationCall &call, StringRef fallback) {
  StringRef path = call.evaluator.currentPath();
  return path.empty() ? fallback.str() : path.str();
}

static FailureOr<Value> uniform(OperationCall &call) {
  auto shape = call.shape("shape");
  if (failed(shape) || failed(call.needGraph()))
    return failure();
  if (shape->empty())
    return call.fault(FaultKind::ShapeMismatch, "`uniform` needs at least one axis, the sample");
  GraphBuilder &g = call.graph();
  FunctionBuilder &f = *call.evaluator.function;
  auto draw = [&](ArrayRef<int64_t> sizes) {
    auto type = mlir::RankedTensorType::get(sizes, g.ops.getF32Type());
    return g.wrap(
        g.ops.create<tg::RandomUniformOp>(g.loc, type, f.rngOf(sizes.front()), f.site(sitePath(call, "uniform"))));
  };
  // A draw is keyed by the sample's place in the whole step. Where the samples' rows lie under each
  // other it is made sample by sample: micro-batches then draw what one batch of them draws.
  int64_t first = shape->front();
  if (f.tiled && f.rows > 1 && first == f.clips) {
    // Row by row as many as a row may have clips, of which each clip takes its own.
    std::vector<int64_t> sizes(shape->begin(), shape->end());
    sizes.front() = f.rows * f.clipsOfRow;
    int64_t inner = f.clipsOfRow;
    for (int64_t size : ArrayRef(*shape).drop_front())
      inner *= size;
    auto all = g.reshape(draw({f.rows, inner}), sizes);
    return failed(all) ? FailureOr<Value>(failure()) : done(g.gather(*all, f.clipInput("places", sizes.front())));
  }
  if (f.rows == 0 || first == f.rows || first % f.rows != 0)
    return Value(draw(*shape));
  int64_t inner = first / f.rows;
  for (int64_t size : ArrayRef(*shape).drop_front())
    inner *= size;
  return done(g.reshape(draw({f.rows, inner}), *shape));
}

static FailureOr<Value> matmul(OperationCall &call) {
  auto a = call.tensor("a"), b = call.tensor("b");
  if (failed(a) || failed(b))
    return failure();
  return done(call.graph().matmul(*a, *b));
}

static FailureOr<Value> linear(OperationCall &call) {
  auto x = call.tensor("x"), weight = call.tensor("weight");
  if (failed(x) || failed(weight))
    return failure();
  return done(call.graph().linear(*x, *weight));
}

template <typename Op>
static FailureOr<Value> softmax(OperationCall &call) {
  auto x = call.tensor("x");
  if (failed(x))
    return failure();
  GraphBuilder &g = call.graph();
  if (failed(g.requireFloat(*x, ("`" + call.name + "`").str())))
    return failure();
  if (x->rank() < 1)
    return call.fault(FaultKind::ShapeMismatch, "`" + call.name.str() + "` of a scalar");
  return Value(g.wrap(g.ops.create<Op>(g.loc, x->value), x->origins));
}

/// What is known of samples that lie in rows one behind another, where attention keeps them apart.
static mlir::DenseI64ArrayAttr samplesOf(GraphBuilder &g, mlir::Value starts, mlir::Value lengths) {
  auto known = g.packedSamples.find(starts);
  auto length = lengths ? lengths.getDefiningOp<tg::InputOp>() : tg::InputOp();
  if (known == g.packedSamples.end() || !length || length.getName() != known->second.length)
    return {};
  return g.ops.getDenseI64ArrayAttr({known->second.most, known->second.longest});
}

static FailureOr<Value> attention(OperationCall &call) {
  auto q = call.tensor("q"), k = call.tensor("k"), v = call.tensor("v");
  auto causal = call.flag("causal");
  auto dropout = call.number("dropout");
  if (failed(q) || failed(k) || failed(v) || failed(causal) || failed(dropout))
    return failure();
  GraphBuilder &g = call.graph();
  if (q->dim(2) % k->dim(2) != 0)
    return g.mismatch(std::to_string(k->dim(2)) + " key heads do not divide " +
                          std::to_string(q->dim(2)) + " query heads",
                      *q, 2, *k, 2);
  double scale = 1 / std::sqrt(static_cast<double>(q->dim(3)));
  if (!call.at("scale").isNone()) {
    auto given = call.number("scale");
    if (failed(given))
      return failure();
    scale = *given;
  }
  if (!(*dropout >= 0 && *dropout < 1))
    return call.fault(FaultKind::BadValue,
                      "the rate of dropout must be in [0, 1) but is " + call.at("dropout").print());
  // An operand of places that may be absent, of the first axes of q.
  auto places = [&](const char *name, unsigned axes) -> FailureOr<mlir::Value> {
    if (call.at(name).isNone())
      return mlir::Value();
    auto given = call.tensor(name);
    std::string what = "`" + std::string(name) + "` of `attention`";
    if (failed(given) || failed(g.requireInt(*given, what)))
      return failure();
    auto needed = mlir::RankedTensorType::get(q->type().getShape().take_front(axes), g.ops.getI32Type());
    if (given->type().getShape() != needed.getShape())
      return call.fault(FaultKind::ShapeMismatch, what + " is " + formatType(given->type()) + " but must be " + formatType(needed));
    return given->value;
  };
  auto lengths = places("lengths", 1), starts = places("starts", 2);
  if (failed(lengths) || failed(starts))
    return failure();
  mlir::Value rng;
  FunctionBuilder &f = *call.evaluator.function;
  double rate = f.training ? *dropout : 0;
  tg::SiteAttr site;
  if (rate > 0) {
    rng = f.rngOf(q->dim(0));
    site = f.site(sitePath(call, "attention"));
  }
  mlir::DenseI64ArrayAttr samples;
  if (*starts && *causal && q->dim(1) == k->dim(1))
    samples = samplesOf(g, *starts, *lengths);
  auto stats = mlir::RankedTensorType::get({q->dim(0), q->dim(2), q->dim(1)}, g.ops.getF32Type());
  auto op = g.ops.create<tg::AttentionOp>(
      g.loc, q->type(), stats, q->value, k->value, v->value, *lengths, *starts, rng,
      *causal ? g.ops.getUnitAttr() : mlir::UnitAttr(), g.ops.getF64FloatAttr(scale),
      g.ops.getF64FloatAttr(rate), site, samples);
  return Value(g.wrap(op.getOut(), q->origins));
}

static FailureOr<Value> crossEntropy(OperationCall &call) {
  auto logits = call.tensor("logits"), labels = call.tensor("labels");
  auto smoothing = call.number("smoothing");
  auto ignore = call.integer("ignore");
  if (failed(logits) || failed(labels) || failed(smoothing) || failed(ignore))
    return failure();
  GraphBuilder &g = call.graph();
  if (failed(requireIdsWithin(g, *labels, *logits, 1, "classes")))
    return failure();
  auto type = mlir::RankedTensorType::get({logits->dim(0)}, g.ops.getF32Type());
  auto op = g.ops.create<tg::CrossEntropyOp>(g.loc, type, type, logits->value, labels->value,
                                             g.ops.getF64FloatAttr(*smoothing),
                                             g.ops.getI64IntegerAttr(*ignore));
  return Value(g.wrap(op.getLoss(), logits->origins[0]));
}

/// Names that a line of the log has already (runtime/report, runtime/loop).
static bool belongsToLog(StringRef name) {
  static const llvm::StringRef own[] = {"event",     "at",       "step",       "lr",
                                        "samples",   "variants",  "tokens",   "supervised", "seconds",
                                        "data_wait", "replaced", "empty_clips", "loss",
                                        "loss_scale", "skipped"};
  return llvm::is_contained(own, name) || name.starts_with("loss.");
}

static FailureOr<Value> report(OperationCall &call) {
  auto *name = call.at("name").asString();
  if (!name || name->empty())
    return call.fault(FaultKind::TypeMismatch, "`report` needs a name");
  if (belongsToLog(*name))
    return call.fault(FaultKind::BadValue, "`" + *name + "` is a name of the log's own")
        .help("report it under another name");
  auto value = call.tensor("value");
  if (failed(value) || failed(call.evaluator.function->output(*name, *value)))
    return failure();
  return Value();
}

static FailureOr<Value> splice(OperationCall &call) {
  auto field = call.at("field").asTextField();
  auto visual = call.tensor("visual");
  if (failed(visual))
    return failure();
  if (field->visual)
    return call.fault(FaultKind::BadValue, "`" + field->source->name + "` is spliced twice");
  if (!field->source->hasVisualPlace)
    return call
        .fault(FaultKind::BadValue,
               "`" + field->source->name +
                   "` has no place for visual rows: its template does not name `{visual}`")
        .note(field->source->loc, "the field is declared here");
  if (field->source->pack > 1 && call.evaluator.function->tiled)
    return call.fault(FaultKind::BadValue, "`" + field->source->name + "` is packed, but its clips are in tiles: a sample has room for its own alone")
        .note(field->source->loc, "the field is declared here")
        .help("leave `pack` out, or accumulate samples instead");
  if (visual->dim(0) != field->source->clips)
    return call.fault(FaultKind::ShapeMismatch,
                      "the visual rows are for " + std::to_string(visual->dim(0)) +
                          (field->source->clips == field->source->samples ? " samples" : " clips") +
                          " but the field has " + std::to_string(field->source->clips));
  auto spliced = std::make_shared<TextField>(*field);
  spliced->visual = *visual;
  return Value(std::move(spliced));
}

ArrayRef<Operation> tensorOperations() {
  static const Operation table[] = {
      {"sum", reduce<tg::ReduceKind::Sum>},
      {"mean", mean},
      {"max", extreme<tg::ReduceKind::Max>},
      {"min", extreme<tg::ReduceKind::Min>},
      {"reshape", reshape},
      {"transpose", transpose},
      {"broadcast", broadcast},
      {"concat", concat},
      {"pad", pad},
      {"gather", gather},
      {"scatter_add", scatterAdd},
      {"all_gather", allGather},
      {"iota", iota},
      {"full", full},
      {"zeros", filled<0>},
      {"ones", filled<1>},
      {"uniform", uniform},
      {"matmul", matmul},
      {"linear", linear},
      {"softmax", softmax<tg::SoftmaxOp>},
      {"log_softmax", softmax<tg::LogSoftmaxOp>},
      {"attention", attention},
      {"cross_entropy", crossEntropy},
      {"report", report},
      {"splice", splice},
  };
  return table;
}

} // namespace vcc::elaborate
