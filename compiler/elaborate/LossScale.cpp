// SPDX-License-Identifier: Apache-2.0
//
// The scale of the loss under `precision fp16`: gradients come scaled, are unscaled and tested before anybody sees them, and a step
// with one that is not finite changes nothing but the scale. The rule is torch.amp.GradScaler's.
#include "compiler/elaborate/Stage.h"

#include <cmath>
#include <limits>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

static constexpr double kLargest = std::numeric_limits<float>::max();
/// Good steps are counted in f32.
static constexpr int64_t kMostSteps = 1 << 24;

LogicalResult Stage::readLossScale(vcs::PrecisionOp clause) {
  auto options = Options::read(evaluator, clause.getOptions(), "`precision`", {"scale", "growth", "backoff", "interval"});
  if (failed(options))
    return failure();
  LossScale made;
  auto scale = options->number("scale", made.scale), growth = options->number("growth", made.growth),
       backoff = options->number("backoff", made.backoff);
  if (failed(scale) || failed(growth) || failed(backoff))
    return failure();
  auto bad = [&](StringRef key, double value, StringRef range) {
    return fault(FaultKind::BadValue, options->loc(key), "`" + key.str() + "` must be " + range.str() + " but is " + Value(value).print());
  };
  const std::string fromOne = "from 1 to " + Value(kLargest).print() + " (the largest f32)";
  if (!(*scale >= 1 && *scale <= kLargest))
    return bad("scale", *scale, fromOne).help("torch begins with 65536");
  if (!(*growth >= 1 && *growth <= kLargest))
    return bad("growth", *growth, fromOne).help("2 doubles the scale after `interval` good steps in a row; 1 keeps it");
  if (!(*backoff > 0 && *backoff < 1))
    return bad("backoff", *backoff, "above 0 and below 1").help("0.5 halves the scale at a gradient that is not finite");
  Quantity interval{static_cast<double>(made.interval), vcs::Unit::Steps};
  options->assume("interval", Value(interval));
  if (const Value *given = options->find("interval")) {
    if (!given->asQuantity() || given->asQuantity()->unit != vcs::Unit::Steps)
      return fault(FaultKind::UnitMismatch, options->loc("interval"), "`interval` needs steps but is " + given->describe());
    interval = *given->asQuantity();
  }
  if (!(interval.amount >= 1 && interval.amount <= kMostSteps) || interval.amount != std::floor(interval.amount))
    return fault(FaultKind::BadValue, options->loc("interval"), "`interval` must be a whole number of steps in 1.." + std::to_string(kMostSteps));
  made = {*scale, *growth, *backoff, static_cast<int64_t>(interval.amount)};
  if (precision == "fp16")
    lossScale = made;
  return success();
}

std::vector<std::pair<std::string, double>> Stage::scaleStates() const {
  if (!lossScale)
    return {};
  return {{kScaleValue, lossScale->scale}, {kScaleGood, 0}, {kScaleSteps, 0}};
}

/// Where `values` are numbers and no infinity.
static Tensor isFinite(GraphBuilder &g, const Tensor &values) {
  ArrayRef<int64_t> shape = values.type().getShape();
  auto type = mlir::RankedTensorType::get(shape, g.ops.getI1Type());
  mlir::Value size = g.ops.create<tg::AbsOp>(g.loc, values.value);
  mlir::Value largest = g.splat(kLargest, g.ops.getF32Type(), shape).value;
  return g.wrap(g.ops.create<tg::CompareOp>(g.loc, type, size, largest, tg::Predicate::Le));
}

LogicalResult Stage::unscale(FunctionBuilder &f, std::vector<Tensor> &gradients) {
  GraphBuilder &g = f.graph;
  mlir::Type f32 = g.ops.getF32Type();
  auto splat = [&](double value, ArrayRef<int64_t> shape) { return g.splat(value, f32, shape); };
  Tensor scale = f.readState(kScaleValue, 1);
  Tensor inverse = g.wrap(g.ops.create<tg::DivOp>(g.loc, splat(1, {1}).value, scale.value));
  Tensor lost = splat(0, {1});
  for (Tensor &gradient : gradients) {
    ArrayRef<int64_t> shape = gradient.type().getShape();
    auto outside = g.select(isFinite(g, gradient), splat(0, shape), splat(1, shape));
    auto count = failed(outside) ? outside : g.reduce(tg::ReduceKind::Sum, *outside, {0}, /*keep=*/true);
    auto factor = g.broadcast(inverse, shape, gradient.origins);
    if (failed(count) || failed(factor))
      return failure();
    lost = g.wrap(g.ops.create<tg::AddOp>(g.loc, lost.value, count->value));
    gradient = g.wrap(g.ops.create<tg::MulOp>(g.loc, gradient.value, factor->value));
  }
  auto type = mlir::RankedTensorType::get({1}, g.ops.getI1Type());
  goodStep = g.wrap(g.ops.create<tg::CompareOp>(g.loc, type, lost.value, splat(0, {1}).value, tg::Predicate::Le));
  auto skipped = g.select(*goodStep, splat(0, {1}), splat(1, {1}));
  auto flag = failed(skipped) ? skipped : g.reshape(*skipped, {}), shown = g.reshape(scale, {});
  if (failed(flag) || failed(shown))
    return failure();
  return llvm::success(succeeded(f.output("loss_scale", *shown)) && succeeded(f.output("skipped", *flag)));
}

LogicalResult Stage::moveScale(FunctionBuilder &f) {
  GraphBuilder &g = f.graph;
  mlir::Type f32 = g.ops.getF32Type();
  auto one = [&](double value) { return g.splat(value, f32, {1}); };
  auto times = [&](const Tensor &x, double by) { return g.wrap(g.ops.create<tg::MulOp>(g.loc, x.value, one(by).value)); };
  auto next = [&](const Tensor &x) { return g.wrap(g.ops.create<tg::AddOp>(g.loc, x.value, one(1).value)); };
  auto choose = [&](const Tensor &condition, const Tensor &yes, const Tensor &no) {
    return g.wrap(g.ops.create<tg::SelectOp>(g.loc, condition.value, yes.value, no.value));
  };
  Tensor scale = f.readState(kScaleValue, 1), good = next(f.readState(kScaleGood, 1)), steps = f.readState(kScaleSteps, 1);
  auto type = mlir::RankedTensorType::get({1}, g.ops.getI1Type());
  Tensor due = g.wrap(g.ops.create<tg::CompareOp>(g.loc, type, good.value, one(static_cast<double>(lossScale->interval)).value,
                                                  tg::Predicate::Ge));
  Tensor grown = times(scale, lossScale->growth);
  grown = choose(isFinite(g, grown), grown, scale);
  f.writeState(kScaleValue, choose(*goodStep, choose(due, grown, scale), times(scale, lossScale->backoff)).value);
  f.writeState(kScaleGood, choose(*goodStep, choose(due, one(0), good), one(0)).value);
  f.writeState(kScaleSteps, choose(*goodStep, next(steps), steps).value);
  return success();
}

} // namespace vcc::elaborate
