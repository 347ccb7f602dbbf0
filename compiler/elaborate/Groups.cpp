// SPDX-License-Identifier: Apache-2.0
//
// Optimizer groups: trained weights of one learning rate and one decay lie side by side in one flat
// tensor, as do their gradients and moments. Weights that only some step variants reach are grouped by these: such a group
// has a flag, set by each variant that reaches it, and counts its own steps.
#include "compiler/elaborate/Stage.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

/// Offsets inside a flat tensor are multiples of this many elements: 64 bytes of f32.
static constexpr int64_t kAlignment = 16;

std::string groupState(size_t group, StringRef what) {
  return "group" + std::to_string(group) + ":" + what.str();
}
std::string gradientState(const Weight &weight) { return "gradient:" + weight.path(); }

namespace {
/// The value of a key for each weight: by the first selector that names it, else by `else`, else as
/// the key itself says.
struct PerWeight {
  std::vector<std::pair<WeightSet, Value>> rules;
  std::optional<Value> otherwise;

  const Value *find(Weight *weight) const {
    for (const auto &[weights, value] : rules)
      if (weights.contains(weight))
        return &value;
    return otherwise ? &*otherwise : nullptr;
  }
};
} // namespace

static FailureOr<PerWeight> readPerWeight(Evaluator &evaluator, Model &model,
                                          vcs::OptimizeOp optimize, StringRef key) {
  PerWeight result;
  for (auto rule : optimize.getOptions().front().getOps<vcs::PerWeightOp>()) {
    if (rule.getName() != "lr" && rule.getName() != "decay")
      return evaluator.fault(FaultKind::UnknownKey, rule.getLoc(),
                             "only `lr` and `decay` can differ by weight, not `" +
                                 rule.getName().str() + "`");
    if (rule.getName() != key)
      continue;
    auto value = evaluator.evaluate(rule.getValue());
    if (failed(value))
      return failure();
    if (!rule.getSelector()) {
      result.otherwise = *value;
      continue;
    }
    auto weights =
        resolveWeights(*rule.getSelector(), model.tree, rule.getLoc(), evaluator.faults());
    if (failed(weights))
      return failure();
    result.rules.push_back({std::move(*weights), *value});
  }
  return result;
}

/// Whether weight decay applies, from `matrices`, `all`, `none` or a bool.
static FailureOr<bool> decays(Evaluator &evaluator, const Value *value, const Weight &weight,
                              mlir::Location loc) {
  if (!value)
    return true;
  if (auto *b = value->asBool())
    return *b;
  if (value->isNone())
    return false;
  std::string word = value->asWord()     ? value->asWord()->text.str()
                     : value->asString() ? *value->asString()
                                         : "";
  if (word == "matrices")
    return weight.shape.size() >= 2;
  if (word == "all" || word == "none")
    return word == "all";
  return evaluator.fault(FaultKind::BadValue, loc,
                         "`decay` is one of `matrices`, `all`, `none`" +
                             (word.empty() ? " but this is " + value->describe() : ", not `" + word + "`"));
}

LogicalResult Stage::formGroups(vcs::OptimizeOp optimize, const Options &options) {
  auto rates = readPerWeight(evaluator, model, optimize, "lr"),
       decay = readPerWeight(evaluator, model, optimize, "decay");
  if (failed(rates) || failed(decay))
    return failure();
  const Value *plain = options.find("lr");
  const Value *base = plain ? plain : rates->otherwise ? &*rates->otherwise : nullptr;
  if (!base)
    return fault(FaultKind::MissingKey, optimize.getLoc(), "`optimize` says no `lr`")
        .help("write `lr: 1e-4`");
  auto rate = evaluator.number(*base, "`lr`", options.loc("lr"));
  if (failed(rate))
    return failure();
  baseRate = *rate;
  options.assume("decay", Value(std::string("all")));
  // Only there is anything to choose.
  bool chosen = options.find("unreached") || !partlyReached.empty();
  auto unreached = chosen ? options.choice("unreached", "skip", {"skip", "zeros"}) : FailureOr<std::string>(std::string("skip"));
  if (failed(unreached))
    return failure();
  for (Weight *weight : trainable) {
    const Value *mine = rates->find(weight);
    auto lr =
        mine ? evaluator.number(*mine, "`lr`", optimize.getLoc()) : FailureOr<double>(baseRate);
    auto shrinks =
        decays(evaluator, decay->find(weight) ? decay->find(weight) : options.find("decay"),
               *weight, options.loc("decay"));
    if (failed(lr) || failed(shrinks))
      return failure();
    if (!(*lr >= 0) || !std::isfinite(*lr))
      return fault(FaultKind::BadValue, options.loc("lr"), "`lr` must be a number from 0 up");
    std::vector<bool> reachedBy = *unreached == "skip" ? partlyReached.lookup(weight) : std::vector<bool>();
    auto group = llvm::find_if(groups, [&](const Group &g) {
      return !g.bounds && g.lr == *lr && g.decay == *shrinks && g.reachedBy == reachedBy;
    });
    if (weight->bounds || group == groups.end()) {
      groups.push_back({*lr, *shrinks, weight->bounds, std::move(reachedBy), {}, 0});
      group = std::prev(groups.end());
    }
    int64_t offset = llvm::alignTo(group->size, kAlignment);
    group->members.push_back({weight, offset});
    group->size = offset + weight->elements();
  }
  for (Group &group : groups)
    if (!group.bounds)
      group.size = llvm::alignTo(group.size, kAlignment);
  return success();
}

void Stage::markReached() {
  for (const auto &[i, group] : llvm::enumerate(groups)) {
    for (size_t v = 0; v < group.reachedBy.size(); ++v) {
      if (!group.reachedBy[v])
        continue;
      auto forward = module->lookupSymbol<mlir::func::FuncOp>("forward_" + batch->variants[v].variant);
      mlir::OpBuilder builder(forward.getBody().front().getTerminator());
      auto type = mlir::RankedTensorType::get({1}, builder.getF32Type());
      mlir::Value one = builder.create<tg::ConstantOp>(op.getLoc(), mlir::DenseElementsAttr::get(type, 1.0f));
      builder.create<tg::WriteOp>(op.getLoc(), mlir::FlatSymbolRefAttr::get(builder.getContext(), groupState(i, "reached")), one,
                                  mlir::UnitAttr());
    }
  }
}

void Stage::declareStates() {
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(module->getBody());
  mlir::Type f32 = builder.getF32Type();
  auto state = [&](mlir::Location loc, const std::string &path, tg::StateKind kind,
                   llvm::ArrayRef<int64_t> shape, bool trains, std::string storage = "",
                   int64_t offset = 0) {
    builder.create<tg::StateOp>(
        loc, builder.getStringAttr(path), tg::StateKindAttr::get(builder.getContext(), kind),
        mlir::TypeAttr::get(mlir::RankedTensorType::get(shape, f32)),
        trains ? builder.getUnitAttr() : mlir::UnitAttr(),
        storage.empty() ? mlir::FlatSymbolRefAttr()
                        : mlir::FlatSymbolRefAttr::get(builder.getContext(), storage),
        storage.empty() ? mlir::IntegerAttr() : builder.getI64IntegerAttr(offset),
        /*joined=*/mlir::UnitAttr(), /*transposed=*/mlir::UnitAttr());
  };
  llvm::DenseMap<Weight *, std::pair<size_t, int64_t>> places;
  for (auto [i, group] : llvm::enumerate(groups)) {
    state(op.getLoc(), groupState(i, "weight"), tg::StateKind::Weight, {group.size}, false);
    state(op.getLoc(), groupState(i, "gradient"), tg::StateKind::Gradient, {group.size}, false);
    for (const std::string &moment : moments)
      state(op.getLoc(), groupState(i, moment), tg::StateKind::Moment, {group.size}, false);
    if (!group.reachedBy.empty()) {
      // Lies among the gradients: added up over ranks, zero between two steps.
      state(op.getLoc(), groupState(i, "reached"), tg::StateKind::Gradient, {1}, false);
      state(op.getLoc(), groupState(i, "steps"), tg::StateKind::Counter, {1}, false);
    }
    for (auto &[weight, offset] : group.members)
      places[weight] = {i, offset};
  }
  for (const auto &[path, first] : scaleStates())
    state(op.getLoc(), path, tg::StateKind::Counter, {1}, false);
  for (Weight *weight : used) {
    auto place = places.find(weight);
    if (place == places.end()) {
      state(weight->loc, weight->path(), tg::StateKind::Weight, weight->shape, false);
      continue;
    }
    auto [group, offset] = place->second;
    state(weight->loc, weight->path(), tg::StateKind::Weight, weight->shape, true,
          groupState(group, "weight"), offset);
    state(weight->loc, gradientState(*weight), tg::StateKind::Gradient, weight->shape, false,
          groupState(group, "gradient"), offset);
  }
}

} // namespace vcc::elaborate
