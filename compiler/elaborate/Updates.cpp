// SPDX-License-Identifier: Apache-2.0
//
// The update of a stage as a graph: schedule, gradient hook, the optimizer's rule on each group's
// flat tensors, bounds, and zeroed gradients where several micro-batches add up.
#include "compiler/elaborate/Stage.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

static Tensor scalarInput(FunctionBuilder &f, StringRef name) {
  return f.input(name, {}, f.graph.ops.getF32Type(), {});
}

static vcs::FnOp requireMethod(Evaluator &evaluator, Part &rule, StringRef name,
                               mlir::Location loc) {
  vcs::FnOp method = Evaluator::findMethod(rule, name);
  if (!method)
    Fault(evaluator.faults(), FaultKind::UnknownField, loc,
          "`" + rule.layerName() + "` has no `" + name.str() + "`")
        .note(rule.layer->getLoc(), "declared here");
  return method;
}

/// The parameters of `declaration` filled from `options`, less the keys that are the language's
/// own.
static FailureOr<Part *> makeRule(Evaluator &evaluator, mlir::Operation *declaration,
                                  const Options &options, const std::vector<std::string> &own,
                                  mlir::Location loc) {
  CallArguments arguments;
  std::vector<std::string> known = own;
  for (vcs::ParamOp param : vcs::paramsOf(declaration))
    known.push_back(param.getName().str());
  for (auto &[name, value] : options.entries) {
    if (llvm::is_contained(own, name))
      continue;
    if (!llvm::is_contained(known, name))
      return evaluator
          .fault(FaultKind::UnknownKey, options.loc(name),
                 "`" + symbolName(declaration) + "` has no key `" + name + "`")
          .help(suggest(name, known));
    arguments.names.push_back(name);
    arguments.values.push_back(value);
    arguments.places.push_back(options.loc(name));
    arguments.expressions.push_back(options.expression(name));
  }
  return evaluator.instantiate(declaration, arguments, loc);
}

FailureOr<Part *> Stage::optimizer(vcs::OptimizeOp optimize, Options &options) {
  auto callee = evaluator.evaluate(optimize.getOptimizer());
  if (failed(callee))
    return failure();
  auto *callable = callee->asCallable();
  if (!callable || !llvm::isa<vcs::OptimizerOp>(callable->declaration))
    return fault(FaultKind::TypeMismatch, optimize.getLoc(),
                 "an optimizer is needed here but this is " + callee->describe());
  auto rule =
      makeRule(evaluator, callable->declaration, options, {"lr", "decay", "unreached"}, optimize.getLoc());
  if (failed(rule))
    return failure();
  for (auto state : callable->declaration->getRegion(0).front().getOps<vcs::StateOp>())
    moments.push_back(state.getName().str());
  return rule;
}

/// A duration in steps as a scalar of the graph.
static FailureOr<Tensor> durationSteps(Evaluator &evaluator, FunctionBuilder &f, const Value &value,
                                       StringRef name, mlir::Location loc, vcs::Unit lengthUnit, double length) {
  GraphBuilder &g = f.graph;
  auto *quantity = value.asQuantity();
  if (!quantity || (quantity->unit != vcs::Unit::Steps && quantity->unit != vcs::Unit::Epochs))
    return evaluator.fault(FaultKind::UnitMismatch, loc,
                           "`" + name.str() + "` needs steps or epochs but is " + value.describe());
  if (quantity->unit == vcs::Unit::Steps && quantity->amount != std::floor(quantity->amount))
    return evaluator.fault(FaultKind::BadValue, loc, "`" + name.str() + "` is no whole number of steps");
  if (quantity->amount < 0)
    return evaluator.fault(FaultKind::BadValue, loc, "`" + name.str() + "` is below zero");
  if (quantity->unit == lengthUnit && quantity->amount >= length)
    return evaluator.fault(FaultKind::BadValue, loc, "`" + name.str() + "` takes as long as the whole stage or longer");
  Tensor amount = g.splat(quantity->amount, g.ops.getF32Type(), {});
  if (quantity->unit == vcs::Unit::Steps)
    return amount;
  return g.wrap(
      g.ops.create<tg::MulOp>(g.loc, amount.value, scalarInput(f, "step.per_epoch").value));
}

FailureOr<Value> Stage::scheduleFactor(FunctionBuilder &f) {
  auto clauses = op.getBody()->getOps<vcs::ScheduleOp>();
  if (clauses.empty())
    return fault(FaultKind::MissingKey, op.getLoc(),
                 "stage `" + name().str() + "` says no `schedule`")
        .help("write `schedule constant { steps: 1000 }`");
  vcs::ScheduleOp clause = *clauses.begin();
  auto callee = evaluator.evaluate(clause.getSchedule());
  auto options = Options::read(evaluator, clause.getOptions(), "`schedule`", {});
  if (failed(callee) || failed(options))
    return failure();
  auto *callable = callee->asCallable();
  if (!callable || !llvm::isa<vcs::ScheduleDeclOp>(callable->declaration))
    return fault(FaultKind::TypeMismatch, clause.getLoc(),
                 "a schedule is needed here but this is " + callee->describe());
  auto length = options->integer("steps", 0);
  auto passes = options->number("epochs", 0);
  if (failed(length) || failed(passes))
    return failure();
  bool hasSteps = options->find("steps"), hasEpochs = options->find("epochs");
  if (hasSteps == hasEpochs)
    return fault(FaultKind::MissingKey, clause.getLoc(),
                 hasSteps ? "`schedule` says both `steps` and `epochs`"
                          : "`schedule` says neither `steps` nor `epochs`");
  if (hasSteps ? *length < 1 : !(*passes > 0))
    return fault(FaultKind::BadValue, options->loc(hasSteps ? "steps" : "epochs"),
                 "a stage needs at least one step");
  if (hasSteps)
    steps = *length;
  else
    epochs = *passes;
  auto rule =
      makeRule(evaluator, callable->declaration, *options, {"steps", "epochs"}, clause.getLoc());
  if (failed(rule))
    return failure();
  scheduleRule = *rule;
  vcs::FnOp method = requireMethod(evaluator, **rule, "factor", clause.getLoc());
  if (!method)
    return failure();
  CallArguments arguments;
  f.graph.loc = clause.getLoc();
  for (vcs::ParamOp param : vcs::paramsOf(method)) {
    StringRef key = param.getName();
    arguments.names.push_back(key.str());
    if (key == "step" || key == "total") {
      arguments.values.push_back(
          Value(scalarInput(f, key == "step" ? "step.index" : "step.total")));
      continue;
    }
    auto given = (*rule)->arguments.find(param.getNameAttr());
    if (given == (*rule)->arguments.end())
      return fault(FaultKind::UnknownArgument, method.getLoc(),
                   "`factor` asks for `" + key.str() +
                       "`, which is neither `step`, `total` nor a parameter of the schedule");
    auto steps = durationSteps(evaluator, f, given->second, key, options->loc(key),
                               hasSteps ? vcs::Unit::Steps : vcs::Unit::Epochs, hasSteps ? *length : *passes);
    if (failed(steps))
      return failure();
    arguments.values.push_back(Value(*steps));
  }
  return evaluator.callMethod(**rule, "factor", arguments, clause.getLoc());
}

/// The gradients of all groups after the optimizer's hook, if it has one.
static FailureOr<std::vector<Tensor>> hookedGradients(Evaluator &evaluator, Part &rule,
                                                      std::vector<Value> gradients,
                                                      mlir::Location loc) {
  size_t count = gradients.size();
  Value list = Value::list(std::move(gradients));
  if (Evaluator::findMethod(rule, "gradients")) {
    auto result = evaluator.callMethod(rule, "gradients", {{list}, {""}}, loc);
    if (failed(result))
      return failure();
    list = *result;
  }
  auto items = evaluator.elements(list, loc);
  if (failed(items))
    return failure();
  if (items->size() != count)
    return evaluator.fault(FaultKind::BadValue, loc,
                           "`gradients` of `" + rule.layerName() + "` gives " +
                               std::to_string(items->size()) + " tensors for " +
                               std::to_string(count) + " groups");
  std::vector<Tensor> tensors;
  for (const Value &item : *items) {
    auto tensor = evaluator.toTensor(item, loc);
    if (failed(tensor))
      return failure();
    tensors.push_back(*tensor);
  }
  return tensors;
}

/// Whether a micro-batch of the step reached the group.
static Tensor isReached(FunctionBuilder &f, size_t index) {
  GraphBuilder &g = f.graph;
  mlir::Value flag = f.readState(groupState(index, "reached"), 1).value;
  auto type = mlir::RankedTensorType::get({1}, g.ops.getI1Type());
  mlir::Value none = g.splat(0, g.ops.getF32Type(), {1}).value;
  return g.wrap(g.ops.create<tg::CompareOp>(g.loc, type, flag, none, tg::Predicate::Gt));
}

/// Of the states of a group and what becomes of them: each is itself but where `changes`.
static LogicalResult keepUnless(FunctionBuilder &f, const Tensor &changes, std::vector<std::pair<std::string, mlir::Value>> &after) {
  GraphBuilder &g = f.graph;
  for (auto &[path, value] : after) {
    Tensor updated = g.wrap(value);
    auto kept = g.select(changes, updated, f.readState(path, updated.dim(0)));
    if (failed(kept))
      return failure();
    value = kept->value;
  }
  return success();
}

LogicalResult Stage::updateGroup(FunctionBuilder &f, Part &rule, size_t index,
                                 const Tensor &gradient, const Tensor &factor) {
  Group &group = groups[index];
  GraphBuilder &g = f.graph;
  mlir::Location loc = (*op.getBody()->getOps<vcs::OptimizeOp>().begin()).getLoc();
  g.loc = mlir::NameLoc::get(
      mlir::StringAttr::get(evaluator.context(), "group" + std::to_string(index)), loc);
  mlir::Location here = g.loc;
  vcs::FnOp method = requireMethod(evaluator, rule, "update", loc);
  if (!method)
    return failure();
  bool partly = !group.reachedBy.empty();
  Tensor one = g.splat(1, g.ops.getF32Type(), {});
  // What not every step changes counts the steps that did: a bias is corrected by what the moments have seen.
  bool counts = partly || lossScale;
  FailureOr<Tensor> counted =
      counts ? g.reshape(f.readState(partly ? groupState(index, "steps") : std::string(kScaleSteps), 1), {}) : scalarInput(f, "step.index");
  if (failed(counted))
    return failure();
  Tensor step = g.wrap(g.ops.create<tg::AddOp>(g.loc, counted->value, one.value));
  Tensor rate = g.wrap(g.ops.create<tg::MulOp>(
      g.loc, g.splat(group.lr, g.ops.getF32Type(), {}).value, factor.value));
  CallArguments arguments;
  for (vcs::ParamOp param : vcs::paramsOf(method)) {
    StringRef key = param.getName();
    arguments.names.push_back(key.str());
    if (key == "w")
      arguments.values.push_back(Value(f.readState(groupState(index, "weight"), group.size)));
    else if (key == "g")
      arguments.values.push_back(Value(gradient));
    else if (key == "step")
      arguments.values.push_back(Value(step));
    else if (key == "lr")
      arguments.values.push_back(Value(rate));
    else if (key == "decay")
      arguments.values.push_back(Value(group.decay));
    else if (llvm::is_contained(moments, key.str()))
      arguments.values.push_back(Value(f.readState(groupState(index, key), group.size)));
    else
      return fault(FaultKind::UnknownArgument, method.getLoc(),
                   "`update` asks for `" + key.str() +
                       "`, which is neither `w`, `g`, `step`, `lr`, `decay` nor a state");
  }
  auto result = evaluator.callMethod(rule, "update", arguments, loc);
  if (failed(result))
    return failure();
  std::vector<Value> values =
      result->asSequence() ? *result->asSequence() : std::vector<Value>{*result};
  if (values.size() != 1 + moments.size())
    return fault(FaultKind::BadValue, method.getLoc(),
                 "`update` gives " + std::to_string(values.size()) +
                     " values but the weights and " + std::to_string(moments.size()) +
                     " states are needed");
  g.loc = here;
  std::vector<std::pair<std::string, mlir::Value>> after;
  for (auto [i, value] : llvm::enumerate(values)) {
    auto tensor = evaluator.toTensor(value, method.getLoc());
    if (failed(tensor))
      return failure();
    if (tensor->rank() != 1 || tensor->dim(0) != group.size || !tensor->element().isF32())
      return fault(FaultKind::ShapeMismatch, method.getLoc(),
                   "`update` gives " + formatType(tensor->type()) + " for a group of f32[" +
                       std::to_string(group.size) + "]");
    mlir::Value stored = tensor->value;
    if (i == 0 && group.bounds) {
      mlir::Value low = g.splat(group.bounds->first, g.ops.getF32Type(), {group.size}).value;
      mlir::Value high = g.splat(group.bounds->second, g.ops.getF32Type(), {group.size}).value;
      stored = g.ops.create<tg::MinOp>(
          g.loc, g.ops.create<tg::MaxOp>(g.loc, stored, low).getResult(), high);
    }
    after.push_back({groupState(index, i == 0 ? "weight" : moments[i - 1]), stored});
  }
  if (partly) {
    auto flat = g.reshape(step, {1});
    if (failed(flat))
      return failure();
    after.push_back({groupState(index, "steps"), flat->value});
    if (failed(keepUnless(f, isReached(f, index), after)))
      return failure();
  }
  if (goodStep && failed(keepUnless(f, *goodStep, after)))
    return failure();
  if (partly)
    after.push_back({groupState(index, "reached"), g.splat(0, g.ops.getF32Type(), {1}).value});
  for (const auto &[path, value] : after)
    f.writeState(path, value);
  if (addsGradients)
    f.writeState(groupState(index, "gradient"),
               g.splat(0, g.ops.getF32Type(), {group.size}).value);
  return success();
}

LogicalResult Stage::update() {
  auto clauses = op.getBody()->getOps<vcs::OptimizeOp>();
  if (clauses.empty())
    return fault(FaultKind::MissingKey, op.getLoc(),
                 "stage `" + name().str() + "` says no `optimize`");
  vcs::OptimizeOp clause = *clauses.begin();
  auto options = Options::read(evaluator, clause.getOptions(), "`optimize`", {});
  if (failed(options))
    return failure();
  auto rule = optimizer(clause, *options);
  if (failed(rule) || failed(formGroups(clause, *options)))
    return failure();
  optimizerRule = *rule;
  markReached();
  auto function = begin("update", clause.getLoc(), true);
  FunctionBuilder &f = *function;
  f.outputs = forwardOutputs;
  evaluator.function = &f;
  auto leave = [&](bool good) {
    f.graph.loc = clause.getLoc();
    f.finish();
    evaluator.function = nullptr;
    return llvm::success(good);
  };
  auto factor = scheduleFactor(f);
  auto scalar =
      failed(factor) ? FailureOr<Tensor>(failure()) : evaluator.toTensor(*factor, clause.getLoc());
  if (failed(scalar))
    return leave(false);
  GraphBuilder &g = f.graph;
  g.loc = clause.getLoc();
  if (scalar->rank() != 0 || !scalar->element().isF32())
    return leave(succeeded(LogicalResult(fault(
        FaultKind::ShapeMismatch, clause.getLoc(),
        "the schedule's factor is " + formatType(scalar->type()) + " but must be one number"))));
  Tensor rate = g.wrap(g.ops.create<tg::MulOp>(
      g.loc, g.splat(baseRate, g.ops.getF32Type(), {}).value, scalar->value));
  if (failed(f.output("lr", rate)))
    return leave(false);
  std::vector<Tensor> sums;
  for (auto [i, group] : llvm::enumerate(groups))
    sums.push_back(f.readState(groupState(i, "gradient"), group.size));
  if (lossScale && failed(unscale(f, sums)))
    return leave(false);
  std::vector<Value> gradients(sums.begin(), sums.end());
  auto hooked = hookedGradients(evaluator, **rule, std::move(gradients), clause.getLoc());
  if (failed(hooked))
    return leave(false);
  bool untouched = llvm::equal(*hooked, sums, [](const Tensor &after, const Tensor &before) { return after.value == before.value; });
  if (lossScale && untouched)
    fault(FaultKind::GradientsWithoutLimit, clause.getLoc(), "stage `" + name().str() + "` computes in `fp16` and does not limit its gradients")
        .help("give the optimizer a limit of their norm, such as `clip: 1.0`");
  for (size_t i = 0; i < groups.size(); ++i)
    if (failed(updateGroup(f, **rule, i, (*hooked)[i], *scalar)))
      return leave(false);
  return leave(!lossScale || succeeded(moveScale(f)));
}

} // namespace vcc::elaborate
