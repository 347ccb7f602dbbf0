// SPDX-License-Identifier: Apache-2.0
//
// One model of a recipe, instantiated once for all of its stages: components, adapters, and the
// tree of weights by path.
#ifndef VCC_COMPILER_ELABORATE_MODEL_H
#define VCC_COMPILER_ELABORATE_MODEL_H

#include "compiler/elaborate/Evaluator.h"
#include "compiler/elaborate/Selectors.h"

namespace vcc::elaborate {

struct Component {
  mlir::Operation *op;
  std::string role;
  Field field;
};

class Model : public Environment {
public:
  Model(Evaluator &evaluator, vcs::ModelOp op) : op(op), evaluator(evaluator) {}

  vcs::ModelOp op;
  PartNode tree;
  llvm::MapVector<mlir::StringAttr, Component> components;
  /// All weights in order of declaration.
  std::vector<Weight *> weights;

  /// Builds everything; faults are reported.
  LogicalResult build();

  FailureOr<Value> part(StringRef name, mlir::Location loc) override;
  FailureOr<Value> input(StringRef name, mlir::Location loc) override;
  /// The component that `weight` lies in.
  StringRef componentOf(const Weight &weight) const;
  bool isAdapter(StringRef component) const;

private:
  Evaluator &evaluator;

  FailureOr<Value> force(StringRef name, Component &component);
  FailureOr<mlir::Operation *> wrapper(const Value *by, mlir::Location loc);
  LogicalResult wrap(vcs::LoraOp lora);
  LogicalResult wrapSite(vcs::LoraOp lora, Part &root, PartNode &site, const CallArguments &options,
                         mlir::Operation *layer);
};

} // namespace vcc::elaborate

#endif
