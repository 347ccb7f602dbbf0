// SPDX-License-Identifier: Apache-2.0
//
// Puts one stage together: what it uses, trains and freezes, where its weights start, and its
// module of the training graph: states, the forward function, the update, the initial values, the
// evaluations. See README.md for the order of steps and what each checks.
#ifndef VCC_COMPILER_ELABORATE_STAGE_H
#define VCC_COMPILER_ELABORATE_STAGE_H

#include "compiler/elaborate/Batches.h"
#include "compiler/elaborate/Model.h"

namespace vcc::elaborate {

/// Where a weight may come from, in order.
struct StartSource {
  enum class Kind { Stage, File, Init };
  Kind kind;
  std::string name;
  int keys = -1; // into Stage::fileKeys; -1: the file's keys are the paths
};

/// How the keys of a file become paths: the dictionary of it that is meant, and pairs of patterns in order.
struct FileKeys {
  std::string inside;
  std::vector<std::pair<std::string, std::string>> rename;
};

/// Trained weights that share learning rate and decay: one flat tensor.
struct Group {
  double lr = 0;
  bool decay = false;
  /// A bounded weight has a group of its own, so that the clamp after the update is elementwise.
  std::optional<std::pair<double, double>> bounds;
  /// By each variant, whether it reaches these weights; empty: all do. Those of a group are reached together.
  std::vector<bool> reachedBy;
  std::vector<std::pair<Weight *, int64_t>> members; // and its offset in elements
  int64_t size = 0;
};

struct Evaluation {
  std::string name, choices, answer, group, media = "normal", metric;
  vcs::MomentAttr when;
  vcs::DatasetOp dataset;
  BatchSpec batch;
};

/// How the scale of the loss under fp16 moves; the defaults are torch.amp.GradScaler's.
struct LossScale {
  double scale = 65536, growth = 2, backoff = 0.5;
  int64_t interval = 2000; // good steps in a row until it grows
};

/// Its states: its value, the good steps since it last changed, and the steps that changed the weights.
constexpr const char *kScaleValue = "loss_scale:value", *kScaleGood = "loss_scale:good", *kScaleSteps = "loss_scale:steps";

class Stage : public Environment {
public:
  Stage(Evaluator &evaluator, Model &model, vcs::StageOp op,
        llvm::ArrayRef<std::unique_ptr<Stage>> earlier)
      : op(op), model(model), evaluator(evaluator), earlier(earlier) {}

  vcs::StageOp op;
  Model &model;
  mlir::OwningOpRef<mlir::ModuleOp> module;

  // What the stage says, for the manifest.
  WeightSet used, trained, frozen, idle;
  WeightSet trainable; // trained and reached by the loss
  /// Of those that some variants leave alone: by each variant, whether it reaches them.
  llvm::DenseMap<Weight *, std::vector<bool>> partlyReached;
  llvm::MapVector<Weight *, std::vector<StartSource>> starts;
  std::vector<FileKeys> fileKeys;
  std::vector<Group> groups;
  std::vector<std::string> moments;
  std::optional<StageBatch> batch;
  /// Gradients of a step's micro-batches are added up; else each write replaces the one before.
  bool addsGradients = false;
  std::vector<Evaluation> evaluations;
  std::optional<int64_t> steps;
  std::optional<double> epochs;
  std::string precision = "f32";
  std::optional<LossScale> lossScale;
  Part *optimizerRule = nullptr, *scheduleRule = nullptr;
  /// The terms of the loss with the numbers that they are multiplied by, and the calls that stand in it.
  std::vector<Setting> lossTerms;
  std::vector<LossCall> lossCalls;
  /// The clause that says where a weight starts.
  llvm::DenseMap<Weight *, mlir::Location> startClauses;
  /// Whether several ranks may run the stage, and by how many it is run; none: by any number.
  bool parallel = false;
  std::optional<int64_t> ranks = 1;

  /// The states of the loss scale and what they begin with.
  std::vector<std::pair<std::string, double>> scaleStates() const;

  StringRef name() { return op.getName(); }
  LogicalResult build();
  /// Whether this stage holds `weight` at its end.
  bool producesPath(StringRef path) const;

  FailureOr<Value> part(StringRef name, mlir::Location loc) override;
  FailureOr<Value> input(StringRef name, mlir::Location loc) override;

private:
  Evaluator &evaluator;
  llvm::ArrayRef<std::unique_ptr<Stage>> earlier;
  BatchSpec *currentBatch = nullptr;
  llvm::StringMap<mlir::Location> forwardOutputs;
  llvm::SmallVector<std::string> adapters;
  /// Each selector of `recompute` and the parts that it names.
  std::vector<std::pair<vcs::RecomputeOp, std::vector<const Part *>>> recomputed;

  // Coverage.cpp
  LogicalResult readSelections();
  LogicalResult checkCoverage();
  /// `losses`: of the variants.
  LogicalResult checkReach(llvm::ArrayRef<mlir::Value> losses);
  LogicalResult readStarts();
  template <typename Clause>
  mlir::Location clauseOf(Weight &weight);
  LogicalResult readStart(vcs::StartOp start, WeightSet &open);
  int readKeys(vcs::FromFileOp file);

  // Segments.cpp
  LogicalResult readRecompute();
  LogicalResult checkRecompute(FunctionBuilder &function);

  // Functions.cpp
  LogicalResult readPrecision();
  LogicalResult readParallel();
  LogicalResult forward(BatchSpec &variant, mlir::Value &loss);
  FailureOr<BatchSpec> evaluationBatch(vcs::EvaluateOp op, const Options &options);
  LogicalResult evaluations_();
  LogicalResult evaluation(vcs::EvaluateOp op);
  std::unique_ptr<FunctionBuilder> begin(StringRef name, mlir::Location loc, bool training);

  // Packing.cpp
  /// That samples in a row of a packed field do not see each other.
  LogicalResult checkPacked(const BatchSpec &variant, FunctionBuilder &function);

  // Groups.cpp
  LogicalResult formGroups(vcs::OptimizeOp optimize, const Options &options);
  void markReached();
  void declareStates();

  // Updates.cpp
  LogicalResult update();
  FailureOr<Part *> optimizer(vcs::OptimizeOp optimize, Options &options);
  FailureOr<Value> scheduleFactor(FunctionBuilder &f);
  LogicalResult updateGroup(FunctionBuilder &f, Part &rule, size_t index, const Tensor &gradient,
                            const Tensor &factor);
  double baseRate = 0;

  // LossScale.cpp
  LogicalResult readLossScale(vcs::PrecisionOp clause);
  /// Takes the scale out of the summed gradients and finds whether all are finite.
  LogicalResult unscale(FunctionBuilder &f, std::vector<Tensor> &gradients);
  LogicalResult moveScale(FunctionBuilder &f);
  std::optional<Tensor> goodStep; // in `@update` of a stage with a loss scale

  // Initials.cpp
  LogicalResult initials();
  FailureOr<Tensor> initial(FunctionBuilder &f, Weight &weight);

  Fault fault(FaultKind kind, mlir::Location loc, std::string message) {
    return evaluator.fault(kind, loc, std::move(message));
  }
};

/// "group0:weight", "gradient:lm.head.weight".
std::string groupState(size_t group, StringRef what);
std::string gradientState(const Weight &weight);

} // namespace vcc::elaborate

#endif
