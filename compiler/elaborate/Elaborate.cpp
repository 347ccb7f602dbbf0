// SPDX-License-Identifier: Apache-2.0
//
// All stages of a recipe, one after the other, over one instance of each model.
#include "compiler/elaborate/Elaborate.h"

#include "compiler/elaborate/Effective.h"
#include "compiler/elaborate/Stage.h"
#include "dialects/tg/Tg.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

/// The instance of the model that `stage` is of, made when it is first asked for; null where it has
/// faults.
static Model *modelOf(Evaluator &evaluator, vcs::StageOp stage,
                      llvm::MapVector<mlir::Operation *, std::unique_ptr<Model>> &models) {
  mlir::Operation *declaration = vcs::findDeclaration(stage, stage.getModel());
  auto op = llvm::dyn_cast_or_null<vcs::ModelOp>(declaration);
  if (!op) {
    Fault(evaluator.faults(), FaultKind::UnknownField, stage.getLoc(),
          "`" + stage.getModel().getLeafReference().str() + "` is not a model");
    return nullptr;
  }
  auto [entry, isNew] = models.insert({declaration, nullptr});
  if (isNew) {
    auto model = std::make_unique<Model>(evaluator, op);
    if (succeeded(model->build()))
      entry->second = std::move(model);
  }
  return entry->second.get();
}

llvm::FailureOr<ElaboratedRecipe> elaborate(mlir::ModuleOp program, diag::Engine &engine,
                                            const ElaborateOptions &options) {
  program.getContext()->loadDialect<tg::TgDialect, mlir::func::FuncDialect>();
  EngineSink sink(engine, options.stdlibDir);
  Evaluator evaluator(program, sink);
  sink.evaluator = &evaluator;
  evaluator.f32Only = options.f32Only;
  vcs::ModuleOp main = vcs::findMain(program);
  if (!main) {
    Fault(sink, FaultKind::BadValue, program.getLoc(), "the program has no main module");
    return failure();
  }
  llvm::MapVector<mlir::Operation *, std::unique_ptr<Model>> models;
  std::vector<std::unique_ptr<Stage>> stages;
  for (auto op : main.getBody()->getOps<vcs::StageOp>()) {
    Model *model = modelOf(evaluator, op, models);
    if (!model)
      continue;
    auto stage = std::make_unique<Stage>(evaluator, *model, op, stages);
    (void)stage->build();
    stages.push_back(std::move(stage));
  }
  // A model that no stage is of is checked too.
  for (auto op : main.getBody()->getOps<vcs::ModelOp>())
    if (!models.count(op))
      (void)Model(evaluator, op).build();
  if (sink.count)
    return failure();
  ElaboratedRecipe recipe;
  recipe.name = main.getSymName().str();
  auto manifest = writeManifest(evaluator, recipe.name, stages);
  if (failed(manifest) || sink.count)
    return failure();
  recipe.manifest = std::move(*manifest);
  for (auto &stage : stages) {
    std::optional<int64_t> number;
    if (stage->op.getNumber())
      number = static_cast<int64_t>(*stage->op.getNumber());
    Json effective = options.effective ? writeEffective(evaluator, *stage, options.stdlibDir) : Json();
    recipe.stages.push_back({stage->name().str(), number, std::move(stage->module), std::move(effective)});
  }
  return recipe;
}

} // namespace vcc::elaborate
