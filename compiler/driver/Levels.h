// SPDX-License-Identifier: Apache-2.0
//
// The way of a recipe through the levels, from its text to a program. Each level can be printed,
// and dumped while passing through.
#ifndef VCC_COMPILER_DRIVER_LEVELS_H
#define VCC_COMPILER_DRIVER_LEVELS_H

#include "compiler/elaborate/Elaborate.h"
#include "dialects/exec/Exec.h"
#include "dsl/Dsl.h"
#include "mlir/IR/MLIRContext.h"

#include <optional>
#include <string>

namespace vcc::driver {

/// In the order in which they are passed; `Program` is the file to run.
enum class Level { Vcs, Graph, Step, Plan, Kernels, Llvm, Asm, Resources, Object, Program };

std::optional<Level> parseLevel(llvm::StringRef name);
llvm::StringRef levelName(Level level);

struct LevelOptions {
  dsl::Options source;
  Level last = Level::Program;
  std::string output;
  std::string cpu = "native";
  /// Whether the steps run on an NVIDIA GPU.
  bool cuda = false;
  /// Whether attention is products and kernels there, and never a call of cuDNN.
  bool splitAttention = false;
  /// Whether LoRA's first products of one x are one there, and its second are columns of the frozen ones.
  bool joinLowRank = false;
  /// Only this stage, by name or number; empty: all. A program always holds all.
  std::string stage;
  /// Folder for one numbered file per level and stage; empty: none.
  std::string dumpFolder;
  bool time = false;
  /// Set for what is to run on the CPU.
  bool f32Only = false;
  /// Whether stages tell what they say in effect.
  bool effective = false;
  const char *executable = "vcc";
};

/// Runs the levels up to `options.last` and writes that one to `options.output`, or to `out` where
/// it is text and no output is named. Gives the exit code.
int runLevels(const LevelOptions &options, llvm::raw_ostream &out, llvm::raw_ostream &err);

/// The recipe as far as it can be faulty: dsl and elaboration. Diagnostics are printed.
int checkRecipe(const LevelOptions &options, llvm::raw_ostream &out, llvm::raw_ostream &err);

/// A stage's plans in four bytes and in two (bf16, or f16 where the stage is in fp16), and its object of the manifest with the places of the one in f32.
struct PlannedStage {
  exec::ModuleOp f32, narrow;
  const elaborate::Json &manifest;
};

/// Runs the levels up to the plan and hands each chosen stage's over.
int planStages(const LevelOptions &options, llvm::function_ref<void(const PlannedStage &)> take, llvm::raw_ostream &err);

/// Elaborates and hands over what each chosen stage says in effect (elaborate/Effective.h).
int showStages(const LevelOptions &options, llvm::function_ref<void(const elaborate::Json &)> take, llvm::raw_ostream &err);

/// Fails, with an error at the operation, where `module` holds what should be gone after `level`.
llvm::LogicalResult verifyLevel(mlir::ModuleOp module, Level level);

} // namespace vcc::driver

#endif
