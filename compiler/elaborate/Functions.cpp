// SPDX-License-Identifier: Apache-2.0
//
// The traced functions of a stage: forward with the loss, and one per evaluation. Also what names
// mean inside them.
#include "compiler/elaborate/Stage.h"

#include "mlir/IR/Verifier.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

bool Stage::producesPath(StringRef path) const {
  return llvm::any_of(used, [&](Weight *weight) { return weight->key == path; });
}

FailureOr<Value> Stage::part(StringRef name, mlir::Location loc) {
  bool isUsed =
      llvm::any_of(used, [&](Weight *weight) { return model.componentOf(*weight) == name; });
  bool hasWeights = llvm::any_of(
      model.weights, [&](Weight *weight) { return model.componentOf(*weight) == name; });
  if (hasWeights && !isUsed)
    return fault(FaultKind::NotInUse, loc,
                 "stage `" + this->name().str() + "` calls `" + name.str() +
                     "`, which it does not use")
        .help("add `" + name.str() + "` to `uses`");
  return model.part(name, loc);
}

FailureOr<Value> Stage::input(StringRef name, mlir::Location loc) {
  if (currentBatch)
    return currentBatch->input(evaluator, name, loc);
  return fault(FaultKind::UnknownField, loc,
               "`" + name.str() + "` is known only in a loss or a score");
}

/// What a function knows of the batch it is called with.
static void takes(FunctionBuilder &function, const BatchSpec &batch) {
  function.rows = batch.rows;
  function.clips = batch.clips();
  function.clipsOfRow = batch.clipsOfRow();
  function.tiled = batch.media && batch.media->tiles;
  function.clipsOfSample = function.tiled ? batch.media->tiles->mostOfRow() : 1;
  function.branch = batch.branch;
}

std::unique_ptr<FunctionBuilder> Stage::begin(StringRef name, mlir::Location loc, bool training) {
  auto function =
      std::make_unique<FunctionBuilder>(*module, name, loc, training, evaluator.faults());
  function->adapters = adapters;
  function->uses = [this](Weight &weight) { return used.contains(&weight); };
  function->admit = [this](Weight &weight, mlir::Location at) -> LogicalResult {
    if (used.contains(&weight))
      return success();
    if (weight.key.empty())
      return fault(FaultKind::NotInUse, at,
                   "`" + weight.path() + "` belongs to no component of the model")
          .note(weight.loc, "declared here")
          .help("make the part a field of a layer; parts made inside `forward` have no place");
    return fault(FaultKind::NotInUse, at,
                 "stage `" + this->name().str() + "` reads `" + weight.path() +
                     "`, which it does not use")
        .note(weight.loc, "declared here");
  };
  return function;
}

static FailureOr<Tensor> lossTerm(Evaluator &evaluator, vcs::TermOp term, const Value &value) {
  auto tensor = evaluator.toTensor(value, term.getLoc());
  if (failed(tensor))
    return failure();
  if (tensor->rank() != 0 || !tensor->element().isF32())
    return evaluator
        .fault(FaultKind::ShapeMismatch, term.getLoc(),
               "the loss term `" + term.getName().str() + "` is " + formatType(tensor->type()) +
                   " but must be one number")
        .help("write `mean(..)` or `sum(..)`");
  return tensor;
}

LogicalResult Stage::readParallel() {
  for (auto clause : op.getBody()->getOps<vcs::ParallelOp>()) {
    auto options = Options::read(evaluator, clause.getOptions(), "`parallel`", {"shard", "ranks"});
    if (failed(options))
      return failure();
    auto shard = options->choice("shard", "none", {"none", "optimizer", "gradients", "weights"});
    if (failed(shard))
      return failure();
    if (*shard != "none")
      return fault(FaultKind::NotSupported, options->loc("shard"), "`shard: " + *shard + "` is not supported yet");
    parallel = true;
    ranks.reset();
    if (!options->find("ranks"))
      continue;
    auto count = options->integer("ranks", 1);
    if (failed(count))
      return failure();
    if (*count < 1 || *count > 65536)
      return fault(FaultKind::BadValue, options->loc("ranks"), "`ranks` must be in 1..65536 but is " + std::to_string(*count))
          .help("leave it out where any number of ranks may run the stage");
    ranks = *count;
  }
  return success();
}

/// The number that a term is multiplied by as it stands: 1 where there is none.
static Setting weightOf(vcs::TermOp term, const Frame &frame) {
  Setting weight{term.getName().str(), Value(1.0), {Origin::Kind::Written, term.getLoc(), term.getValue()}};
  auto product = term.getValue().getDefiningOp<vcs::BinaryOp>();
  if (product && product.getKind() == vcs::Binary::Mul)
    for (mlir::Value side : {product.getLhs(), product.getRhs()})
      if (Value value = frame.values.lookup(side); value.isNumber())
        weight.value = value;
  return weight;
}

LogicalResult Stage::forward(BatchSpec &variant, mlir::Value &loss) {
  auto clauses = op.getBody()->getOps<vcs::LossOp>();
  if (clauses.empty())
    return fault(FaultKind::MissingKey, op.getLoc(), "stage `" + name().str() + "` says no `loss`");
  vcs::LossOp clause = *clauses.begin();
  auto function = begin("forward_" + variant.variant, clause.getLoc(), true);
  function->ranks = ranks;
  takes(*function, variant);
  if (batch->variants.size() > 1)
    function->variant = variant.variant;
  for (const auto &[clause, parts] : recomputed)
    function->segments.parts.insert(parts.begin(), parts.end());
  evaluator.function = function.get();
  currentBatch = &variant;
  Frame frame;
  evaluator.lossCalls = &lossCalls;
  auto results = evaluator.run(clause.getBody(), frame);
  evaluator.lossCalls = nullptr;
  std::optional<Tensor> total;
  bool good = succeeded(results);
  GraphBuilder &g = function->graph;
  if (good) {
    for (auto term : clause.getBody().front().getOps<vcs::TermOp>()) {
      g.loc = mlir::NameLoc::get(
          mlir::StringAttr::get(evaluator.context(), "loss." + term.getName()), term.getLoc());
      auto value =
          lossTerm(evaluator, term, frame.arguments.lookup(("term:" + term.getName()).str()));
      good &= succeeded(value);
      if (failed(value))
        continue;
      if (llvm::none_of(lossTerms, [&](const Setting &known) { return known.name == term.getName(); }))
        lossTerms.push_back(weightOf(term, frame));
      good &= succeeded(function->output(("loss." + term.getName()).str(), *value));
      total = total ? g.wrap(g.ops.create<tg::AddOp>(g.loc, total->value, value->value)) : *value;
    }
    if (good && !total)
      good = succeeded(LogicalResult(fault(FaultKind::MissingKey, clause.getLoc(),
                                           "the loss of stage `" + name().str() + "` has no terms")
                                         .help("write `name: expression`")));
  }
  if (good) {
    g.loc = clause.getLoc();
    g.ops.create<tg::LossOp>(g.loc, total->value);
    loss = total->value;
  }
  for (const auto &output : function->outputs)
    forwardOutputs.insert({output.getKey(), output.getValue()});
  good = good && succeeded(checkPacked(variant, *function));
  good = good && succeeded(checkRecompute(*function));
  variant.variant = variant.name();
  function->function.setSymName("forward_" + variant.variant);
  function->finish();
  evaluator.function = nullptr;
  currentBatch = nullptr;
  return llvm::success(good);
}

LogicalResult Stage::evaluations_() {
  bool good = true;
  for (auto clause : op.getBody()->getOps<vcs::EvaluateOp>())
    good &= succeeded(evaluation(clause));
  return llvm::success(good);
}

FailureOr<BatchSpec> Stage::evaluationBatch(vcs::EvaluateOp clause, const Options &options) {
  auto wanted = options.word("branch", "");
  if (failed(wanted))
    return failure();
  std::vector<std::string> names;
  for (const BatchSpec &branch : batch->branches) {
    names.push_back(branch.branch);
    if (batch->branches.size() == 1 ? wanted->empty() || *wanted == branch.branch : *wanted == branch.branch)
      return branch;
  }
  if (wanted->empty())
    return fault(FaultKind::MissingKey, clause.getLoc(), "`evaluate` says no `branch` of the batch")
        .help("say which media its records have: " + suggest("", names));
  return fault(FaultKind::BadValue, options.loc("branch"), "the batch has no branch `" + *wanted + "`")
      .help(suggest(*wanted, names));
}

LogicalResult Stage::evaluation(vcs::EvaluateOp clause) {
  auto target = evaluator.evaluate(clause.getDataset());
  auto options =
      Options::read(evaluator, clause.getOptions(), "`evaluate`",
                    {"choices", "answer", "group", "media", "metric", "rows", "score", "branch"}, {"score"});
  if (failed(target) || failed(options))
    return failure();
  auto *callable = target->asCallable();
  auto dataset =
      callable ? llvm::dyn_cast<vcs::DatasetOp>(callable->declaration) : vcs::DatasetOp();
  if (!dataset)
    return fault(FaultKind::TypeMismatch, clause.getLoc(),
                 "a dataset is needed here but this is " + target->describe());
  vcs::OptionOp score = vcs::findOption(clause.getOptions(), "score");
  if (!score)
    return fault(FaultKind::MissingKey, clause.getLoc(), "`evaluate` says no `score`")
        .help("write `score: losses.answer_score(...)`, one number per row");
  auto given = evaluationBatch(clause, *options);
  if (failed(given))
    return failure();
  Evaluation made{clause.getName().str(), "", "", "", "normal", "", clause.getWhen(), dataset,
                  given->fresh()};
  // A score is of a row, so that every candidate has its own.
  for (TextSpec &text : made.batch.texts)
    text.unpack();
  auto choices = options->word("choices", ""), answer = options->word("answer", ""),
       group = options->word("group", ""),
       media = options->choice("media", "normal", {"normal", "shuffled", "still"}),
       metric = options->choice("metric", "choice_accuracy", {"choice_accuracy"});
  auto rows = options->integer("rows", given->rows);
  if (failed(choices) || failed(answer) || failed(group) || failed(media) || failed(metric) ||
      failed(rows))
    return failure();
  if (choices->empty() || answer->empty())
    return fault(FaultKind::MissingKey, clause.getLoc(),
                 "`evaluate` says no `" + std::string(choices->empty() ? "choices" : "answer") +
                     "`")
        .help("`choices` names the record's list of candidates, `answer` the field that holds the "
              "right one");
  if (*rows < 1 || *rows > (1 << 20))
    return fault(FaultKind::BadValue, options->loc("rows"),
                 "an evaluation of " + std::to_string(*rows) + " rows");
  made.choices = *choices;
  made.answer = *answer;
  made.group = *group;
  made.media = *media;
  made.metric = *metric;
  made.batch.rows = *rows;
  made.batch.datasets = {dataset};
  made.batch.weights.clear();
  if (made.batch.media) {
    made.batch.media->sample = "middle";
    made.batch.media->flip = false;
    made.batch.media->kind = "any";
    if (made.batch.media->tiles)
      made.batch.media->clips = *rows * made.batch.media->tiles->mostOfRow();
  }
  auto function = begin("evaluate_" + made.name, clause.getLoc(), false);
  takes(*function, made.batch);
  evaluator.function = function.get();
  currentBatch = &made.batch;
  auto value = evaluator.evaluate(score.getValue());
  auto tensor =
      failed(value) ? FailureOr<Tensor>(failure()) : evaluator.toTensor(*value, score.getLoc());
  bool good = succeeded(tensor);
  if (good && (tensor->rank() != 1 || tensor->dim(0) != *rows || !tensor->element().isF32()))
    good = succeeded(LogicalResult(fault(FaultKind::ShapeMismatch, score.getLoc(),
                                         "the score is " + formatType(tensor->type()) +
                                             " but must be one number per row, f32[" +
                                             std::to_string(*rows) + "]")));
  if (good)
    good = succeeded(function->output("score", *tensor));
  function->graph.loc = clause.getLoc();
  function->finish();
  evaluator.function = nullptr;
  currentBatch = nullptr;
  evaluations.push_back(std::move(made));
  return llvm::success(good);
}

LogicalResult Stage::readPrecision() {
  for (auto clause : op.getBody()->getOps<vcs::PrecisionOp>()) {
    auto value = evaluator.evaluate(clause.getKind());
    if (failed(value))
      return failure();
    auto *word = value->asBuiltin();
    if (!word || !llvm::is_contained({"f32", "tf32", "bf16", "fp16"}, word->name.str()))
      return fault(FaultKind::TypeMismatch, clause.getLoc(), "a precision is needed here but this is " + value->describe())
          .help("write `f32`, `tf32`, `bf16` or `fp16`");
    precision = word->name.str();
    if (precision != "f32" && evaluator.f32Only)
      return fault(FaultKind::PrecisionUnsupported, clause.getLoc(),
                   "precision `" + precision + "` is not supported on the CPU")
          .help("write `precision f32`, or compile with `--target=cuda`");
    if (failed(readLossScale(clause)))
      return failure();
  }
  return success();
}

LogicalResult Stage::build() {
  mlir::MLIRContext *context = evaluator.context();
  module = mlir::ModuleOp::create(op.getLoc());
  (*module)->setAttr("tg.stage", mlir::StringAttr::get(context, name()));
  Environment *outer = std::exchange(evaluator.environment, this);
  auto leave = [&](LogicalResult result) {
    evaluator.environment = outer;
    return result;
  };
  if (failed(readPrecision()) || failed(readSelections()) || failed(readRecompute()))
    return leave(failure());
  bool good = succeeded(checkCoverage());
  good &= succeeded(readStarts());
  auto batches = op.getBody()->getOps<vcs::BatchOp>();
  if (batches.empty())
    return leave(
        fault(FaultKind::MissingKey, op.getLoc(), "stage `" + name().str() + "` says no `batch`"));
  auto spec = readBatch(evaluator, *batches.begin());
  if (failed(spec))
    return leave(failure());
  batch = std::move(*spec);
  if (failed(readParallel()))
    return leave(failure());
  llvm::SmallVector<mlir::Value> losses;
  std::vector<BatchSpec> traced;
  for (BatchSpec &variant : batch->variants) {
    if (llvm::any_of(traced, [&](const BatchSpec &other) { return other.sameInputs(variant); }))
      continue; // it differs by the length of a text that the branch does not read
    if (failed(forward(variant, losses.emplace_back())))
      return leave(failure());
    traced.push_back(variant);
  }
  batch->variants = std::move(traced);
  good &= succeeded(checkReach(losses));
  (*module)->setAttr("tg.accumulate", mlir::IntegerAttr::get(mlir::IntegerType::get(context, 64),
                                                             addsGradients ? std::max<int64_t>(batch->accumulate, 2) : 1));
  if (lossScale)
    (*module)->setAttr("tg.loss_scale", mlir::FlatSymbolRefAttr::get(context, kScaleValue));
  good &= succeeded(evaluations_());
  if (!good || failed(update()) || failed(initials()))
    return leave(failure());
  declareStates();
  return leave(success());
}

} // namespace vcc::elaborate
