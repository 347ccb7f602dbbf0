// SPDX-License-Identifier: Apache-2.0
//
// The manifest that a program carries (runtime/program/MANIFEST.md), as far as elaboration knows
// it. Offsets of buffers are put in after the schedule step by `placeStage`.
#ifndef VCC_COMPILER_ELABORATE_MANIFEST_H
#define VCC_COMPILER_ELABORATE_MANIFEST_H

#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vcc::elaborate {

using Json = nlohmann::ordered_json;

class Evaluator;
class Stage;

/// Where the schedule step put a buffer.
struct Placement {
  std::string region;
  int64_t offset = 0, bytes = 0;
  std::string dtype;
  bool transposed = false;
};

/// What the schedule step decided about one stage.
struct StagePlacement {
  std::map<std::string, Placement> states;
  struct Function {
    std::string name;
    std::map<std::string, Placement> inputs, outputs;
  };
  /// In the order of the program's table of functions.
  std::vector<Function> functions;
  /// Bytes of the regions `weights`, `state`, `arena`, `io`.
  std::map<std::string, int64_t> regions;
};

/// Everything above the stages: tokenizers, datasets, templates that any of `stages` uses. Fails
/// with a fault where a declaration is incomplete.
llvm::FailureOr<Json> writeManifest(Evaluator &evaluator, llvm::StringRef recipe,
                                    llvm::ArrayRef<std::unique_ptr<Stage>> stages);

/// The name of an element type in the manifest.
std::string dtypeName(mlir::Type type);

/// What a function takes in and gives out.
struct FunctionPorts {
  struct Port {
    std::string name, dtype;
    std::vector<int64_t> shape;
  };
  std::vector<Port> inputs, outputs;
};
using StagePorts = std::map<std::string, FunctionPorts>;

/// The ports of every function of a stage's module of the training graph, to be read after
/// differentiation.
StagePorts readPorts(mlir::ModuleOp stage);

/// Fills offsets, regions and the table of functions of `stage` (one element of "stages"). An input
/// that the plan has no buffer for is one that nothing reads. False, with a reason, where
/// `placement` lacks a state, an output or a function.
bool placeStage(Json &stage, const StagePorts &ports, const StagePlacement &placement,
                std::string &reason);

} // namespace vcc::elaborate

#endif
