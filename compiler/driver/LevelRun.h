// SPDX-License-Identifier: Apache-2.0
//
// What one run of `vcc` holds while a recipe goes down the levels.
#ifndef VCC_COMPILER_DRIVER_LEVELRUN_H
#define VCC_COMPILER_DRIVER_LEVELRUN_H

#include "compiler/codegen/cpu/LowerKernels.h"
#include "compiler/driver/Costs.h"
#include "compiler/driver/Levels.h"
#include "compiler/driver/ProgressLine.h"

#include "mlir/Pass/PassManager.h"

namespace vcc::driver {

using Pipeline = llvm::function_ref<void(mlir::OpPassManager &)>;

struct StageRun {
  std::string name;
  std::optional<int64_t> number;
  size_t place; // in the manifest
  mlir::OwningOpRef<mlir::ModuleOp> module;
  elaborate::StagePorts ports;
  elaborate::Json effective;
  bool narrow; // computes in bf16, or in f16
  bool half;
  std::string training = {}; // identityOfTraining
};

class Run {
public:
  Run(const LevelOptions &options, llvm::raw_ostream &out, llvm::raw_ostream &err)
      : options(options), out(out), err(err), progress(err), costs(options.time) {
    costs.watch(context);
  }

  bool canWriteOutput();
  int toElaborated();
  int lower();
  int check();
  int plan(llvm::function_ref<void(const PlannedStage &)> take);
  int show(llvm::function_ref<void(const elaborate::Json &)> take);

private:
  const LevelOptions &options;
  llvm::raw_ostream &out, &err;
  ProgressLine progress; // on `err`
  mlir::MLIRContext context;
  diag::Engine engine;
  mlir::OwningOpRef<mlir::ModuleOp> program;
  std::optional<elaborate::ElaboratedRecipe> recipe;
  std::vector<StageRun> stages;
  Costs costs;
  int dumped = 0;

  void endElaborate(llvm::FailureOr<elaborate::ElaboratedRecipe> &made);
  bool chooseStages();
  llvm::LogicalResult apply(StageRun &stage, llvm::StringRef step, Pipeline build);
  void tellStage(const std::vector<StageRun> &stages, const StageRun &stage);
  int lowerStages(std::vector<StageRun> &stages);
  int lowerStage(StageRun &stage);
  int emitStages();
  int generate();
  int generateCuda();
  llvm::SmallVector<mlir::ModuleOp> stageModules();
  int finish(mlir::ModuleOp kernels, const cpu::CpuTarget &target);
  int linkObjects(llvm::ArrayRef<std::string> objects, bool ranks);
  bool placeStages();
  bool identifyStages();
  int internal(llvm::StringRef what);
  int write(llvm::StringRef text);
  void dump(llvm::StringRef name, llvm::StringRef text);
};

/// An operation's text, with a line end.
std::string printed(mlir::Operation *op);

} // namespace vcc::driver

#endif
