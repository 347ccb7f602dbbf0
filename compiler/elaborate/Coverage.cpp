// SPDX-License-Identifier: Apache-2.0
//
// What a stage says about weights, and whether it is whole: everything used is either trained or
// frozen, everything trained is reached by the loss, everything used starts from somewhere.
#include "compiler/elaborate/Stage.h"

#include "llvm/ADT/DenseSet.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

/// "`a`", "`a` and `b`", "`a`, `b` and 7 more".
static std::string listWeights(llvm::ArrayRef<Weight *> weights) {
  std::string text = "`" + weights[0]->path() + "`";
  if (weights.size() == 2)
    text += " and `" + weights[1]->path() + "`";
  else if (weights.size() > 2)
    text += ", `" + weights[1]->path() + "` and " + std::to_string(weights.size() - 2) + " more";
  return text;
}

/// "is" or "are".
static const char *be(size_t count) { return count == 1 ? " is " : " are "; }

LogicalResult Stage::readSelections() {
  bool good = true;
  auto collect = [&](auto clauses, WeightSet &into, bool withinUsed) {
    for (auto clause : clauses) {
      auto weights =
          resolveWeights(clause.getSelector(), model.tree, clause.getLoc(), evaluator.faults());
      good &= succeeded(weights);
      if (failed(weights))
        continue;
      size_t before = into.size(), kept = 0;
      for (Weight *weight : *weights) {
        if (withinUsed && !used.contains(weight))
          continue;
        ++kept;
        into.insert(weight);
      }
      if (!weights->empty() && kept == 0 && before == into.size()) {
        good = false;
        (void)LogicalResult(
            fault(FaultKind::NotInUse, clause.getLoc(),
                  "stage `" + name().str() + "` does not use `" + clause.getSelector().str() + "`")
                .help("add it to `uses`"));
      }
    }
  };
  mlir::Block &body = *op.getBody();
  auto uses = body.getOps<vcs::UsesOp>();
  if (uses.empty())
    used.insert(model.weights.begin(), model.weights.end());
  else
    collect(uses, used, false);
  if (!good)
    return failure();
  collect(body.getOps<vcs::TrainOp>(), trained, true);
  collect(body.getOps<vcs::FreezeOp>(), frozen, true);
  collect(body.getOps<vcs::IdleOp>(), idle, true);
  // The order of declaration, whatever the order of the selectors.
  WeightSet ordered;
  for (Weight *weight : model.weights)
    if (used.contains(weight))
      ordered.insert(weight);
  used = std::move(ordered);
  llvm::DenseSet<llvm::StringRef> components;
  for (Weight *weight : used)
    if (components.insert(model.componentOf(*weight)).second &&
        model.isAdapter(model.componentOf(*weight)))
      adapters.push_back(model.componentOf(*weight).str());
  return llvm::success(good);
}

/// The clause that names `weight`; the stage where there is none.
template <typename Clause>
mlir::Location Stage::clauseOf(Weight &weight) {
  for (auto clause : op.getBody()->getOps<Clause>()) {
    auto weights =
        resolveWeights(clause.getSelector(), model.tree, clause.getLoc(), evaluator.faults());
    if (succeeded(weights) && weights->contains(&weight))
      return clause.getLoc();
  }
  return op.getLoc();
}

LogicalResult Stage::checkCoverage() {
  std::vector<Weight *> both, neither;
  for (Weight *weight : used) {
    bool trains = trained.contains(weight), freezes = frozen.contains(weight);
    if (trains && freezes)
      both.push_back(weight);
    if (!trains && !freezes)
      neither.push_back(weight);
  }
  if (!both.empty()) {
    mlir::Location freezes = clauseOf<vcs::FreezeOp>(*both.front()),
                   trains = clauseOf<vcs::TrainOp>(*both.front());
    (void)LogicalResult(fault(FaultKind::TrainedAndFrozen, freezes,
                              listWeights(both) + be(both.size()) + "both trained and frozen")
                            .note(trains, "trained here"));
  }
  if (!neither.empty()) {
    (void)LogicalResult(
        fault(FaultKind::NeitherTrainedNorFrozen, clauseOf<vcs::UsesOp>(*neither.front()),
              listWeights(neither) + be(neither.size()) + "used but neither trained nor frozen")
            .help("name " + std::string(neither.size() == 1 ? "it" : "them") +
                  " under `train` or `freeze`, or leave " + (neither.size() == 1 ? "it" : "them") +
                  " out of `uses`"));
  }
  return llvm::success(both.empty() && neither.empty());
}

/// The states that `loss` depends on in a differentiable way.
static llvm::DenseSet<llvm::StringRef> reachedStates(mlir::Value loss) {
  llvm::DenseSet<llvm::StringRef> states;
  llvm::DenseSet<mlir::Operation *> seen;
  std::vector<mlir::Value> open{loss};
  while (!open.empty()) {
    mlir::Operation *producer = open.back().getDefiningOp();
    open.pop_back();
    if (!producer || !seen.insert(producer).second)
      continue;
    if (auto read = llvm::dyn_cast<tg::ReadOp>(producer))
      states.insert(read.getState());
    auto differentiable = llvm::dyn_cast<tg::DifferentiableOpInterface>(producer);
    if (!differentiable || !differentiable.getNoGradientReason().empty())
      continue;
    for (mlir::Value operand : producer->getOperands())
      if (llvm::isa<mlir::FloatType>(
              llvm::cast<mlir::RankedTensorType>(operand.getType()).getElementType()))
        open.push_back(operand);
  }
  return states;
}

LogicalResult Stage::checkReach(llvm::ArrayRef<mlir::Value> losses) {
  std::vector<llvm::DenseSet<llvm::StringRef>> reachedBy;
  for (mlir::Value loss : losses)
    reachedBy.push_back(reachedStates(loss));
  std::vector<Weight *> lost, busy;
  for (Weight *weight : used) {
    std::vector<bool> by;
    for (const auto &states : reachedBy)
      by.push_back(states.contains(weight->key));
    bool isReached = llvm::is_contained(by, true);
    if (idle.contains(weight) && isReached)
      busy.push_back(weight);
    if (!trained.contains(weight) || idle.contains(weight))
      continue;
    if (!isReached) {
      lost.push_back(weight);
      continue;
    }
    trainable.insert(weight);
    if (llvm::is_contained(by, false))
      partlyReached.insert({weight, std::move(by)});
  }
  // A variant that leaves a weight alone must not keep the gradient of the step before.
  addsGradients = batch->accumulate > 1 || !partlyReached.empty() ||
                  (batch->across == "every_modality" && batch->branches.size() > 1);
  for (auto clause : op.getBody()->getOps<vcs::TrainOp>()) {
    auto weights =
        resolveWeights(clause.getSelector(), model.tree, clause.getLoc(), evaluator.faults());
    std::vector<Weight *> here;
    if (succeeded(weights))
      for (Weight *weight : lost)
        if (weights->contains(weight))
          here.push_back(weight);
    if (!here.empty())
      (void)LogicalResult(fault(FaultKind::NoPathToLoss, clause.getLoc(),
                                listWeights(here) + be(here.size()) +
                                    "trained, but no loss term depends on " +
                                    (here.size() == 1 ? "it" : "them"))
                              .help("leave " + std::string(here.size() == 1 ? "it" : "them") +
                                    " out of `uses`, or list " +
                                    (here.size() == 1 ? "it" : "them") + " under `idle`"));
  }
  if (!busy.empty())
    (void)LogicalResult(fault(FaultKind::IdleHasLoss, clauseOf<vcs::IdleOp>(*busy.front()),
                              listWeights(busy) + be(busy.size()) +
                                  "listed as idle, but the loss depends on " +
                                  (busy.size() == 1 ? "it" : "them")));
  if (lost.empty() && busy.empty() && trainable.empty())
    return fault(FaultKind::NoPathToLoss, op.getLoc(),
                 "stage `" + name().str() + "` trains nothing");
  return llvm::success(lost.empty() && busy.empty());
}

LogicalResult Stage::readStarts() {
  WeightSet open = used;
  bool good = true;
  // Clauses that name weights come first; the one without a selector takes what they leave.
  for (bool named : {true, false})
    for (auto start : op.getBody()->getOps<vcs::StartOp>())
      if (named != start.getSelectors().empty())
        good &= succeeded(readStart(start, open));
  if (good && !open.empty()) {
    std::vector<Weight *> left(open.begin(), open.end());
    return fault(FaultKind::StartIncomplete, op.getLoc(),
                 "nothing says where " + listWeights(left) +
                     (left.size() == 1 ? " starts from" : " start from"))
        .help("write `start " + model.componentOf(*left.front()).str() +
              " from init`, or from a stage or a file");
  }
  return llvm::success(good);
}

int Stage::readKeys(vcs::FromFileOp file) {
  if (!file.getRename() && !file.getInside())
    return -1;
  FileKeys keys;
  keys.inside = file.getInside().value_or("").str();
  if (file.getRename())
    for (auto pair : file.getRename()->getAsRange<mlir::ArrayAttr>()) {
      auto texts = pair.getAsValueRange<mlir::StringAttr>();
      keys.rename.push_back({(*texts.begin()).str(), (*std::next(texts.begin())).str()});
    }
  fileKeys.push_back(std::move(keys));
  return int(fileKeys.size()) - 1;
}

LogicalResult Stage::readStart(vcs::StartOp start, WeightSet &open) {
  WeightSet chosen;
  if (start.getSelectors().empty()) {
    chosen = open;
  } else {
    std::vector<PartNode *> nodes;
    for (auto selector : start.getSelectors().getAsRange<vcs::SelectorAttr>()) {
      auto weights = resolveWeights(selector, model.tree, start.getLoc(), evaluator.faults());
      auto named = resolveNodes(selector, model.tree, start.getLoc(),
                                FaultKind::SelectorMatchesNothing, evaluator.faults());
      if (failed(weights) || failed(named))
        return failure();
      chosen.insert(weights->begin(), weights->end());
      nodes.insert(nodes.end(), named->begin(), named->end());
    }
    if (auto except = start.getExcept())
      if (failed(takeOut(except->getAlternatives(), nodes, chosen, start.getLoc(),
                         evaluator.faults())))
        return failure();
  }
  std::vector<StartSource> sources;
  llvm::MapVector<Stage *, mlir::Location> stages;
  for (mlir::Operation &source : start.getSources().front()) {
    if (auto from = llvm::dyn_cast<vcs::FromStageOp>(source)) {
      auto found =
          llvm::find_if(earlier, [&](auto &stage) { return stage->name() == from.getStage(); });
      if (found == earlier.end())
        return fault(FaultKind::StageDoesNotProduce, from.getLoc(),
                     "stage `" + from.getStage().str() + "` is not one of the stages before `" +
                         name().str() + "`");
      sources.push_back({StartSource::Kind::Stage, from.getStage().str()});
    } else if (auto from = llvm::dyn_cast<vcs::FromFileOp>(source)) {
      auto file = evaluator.evaluate(from.getFile());
      if (failed(file))
        return failure();
      if (!file->asString())
        return fault(FaultKind::TypeMismatch, from.getLoc(),
                     "a file name is needed here but this is " + file->describe());
      sources.push_back({StartSource::Kind::File, *file->asString(), readKeys(from)});
    } else {
      sources.push_back({StartSource::Kind::Init, ""});
    }
  }
  std::vector<Weight *> missing;
  for (Weight *weight : chosen) {
    if (!used.contains(weight))
      continue;
    if (!open.remove(weight))
      return fault(FaultKind::BadValue, start.getLoc(),
                   "two `start` lines say where `" + weight->path() + "` starts from");
    std::vector<StartSource> &mine = starts[weight];
    startClauses.insert({weight, start.getLoc()});
    for (const StartSource &source : sources) {
      auto stage = llvm::find_if(earlier, [&](auto &s) {
        return source.kind == StartSource::Kind::Stage && s->name() == source.name;
      });
      if (stage == earlier.end() || (*stage)->producesPath(weight->path()))
        mine.push_back(source);
    }
    if (mine.empty())
      missing.push_back(weight);
  }
  if (missing.empty())
    return success();
  return fault(FaultKind::StageDoesNotProduce, start.getLoc(),
               "stage `" + sources.front().name + "` does not produce " + listWeights(missing))
      .note((*llvm::find_if(earlier, [&](auto &s) { return s->name() == sources.front().name; }))
                ->op.getLoc(),
            "this is what it uses and trains")
      .help("name another source, such as `or init`, or take " +
            std::string(missing.size() == 1 ? "it" : "them") + " out by `except`");
}

} // namespace vcc::elaborate
