// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of a stage's ops.
#include "dialects/vcs/Regions.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialects/vcs/VcsStages.cpp.inc"

namespace vcc::vcs {

LogicalResult StageOp::verifySymbolUses(SymbolTableCollection &) {
  if (!isa_and_nonnull<ModelOp>(findDeclaration(*this, getModel())))
    return emitOpError("is of ") << getModel() << ", which is no model";
  return success();
}

LogicalResult FromFileOp::verify() {
  if (getRename())
    for (auto Pair : getRename()->getAsRange<ArrayAttr>())
      if (Pair.size() != 2)
        return emitOpError("has a renaming of ") << Pair.size() << " patterns, but two are needed";
  return verifyYield(*this, getFile(), "file");
}
LogicalResult AccumulateOp::verify() {
  return success(succeeded(verifyYield(*this, getCount(), "count")) &&
                 (getOptions().empty() || succeeded(verifyOptions(*this, getOptions()))));
}
LogicalResult PerWeightOp::verify() { return verifyYield(*this, getValue(), "value"); }
LogicalResult LabelFieldOp::verify() { return verifyOptions(*this, getOptions()); }
LogicalResult IdentityFieldOp::verify() { return verifyOptions(*this, getOptions()); }

LogicalResult RowsOp::verify() {
  return success(succeeded(verifyYield(*this, getCount(), "count")) &&
                 succeeded(verifyYield(*this, getSource(), "source")) &&
                 succeeded(verifyOptions(*this, getOptions())) &&
                 (getWeights().empty() || succeeded(verifyYield(*this, getWeights(), "weights", -1))));
}

LogicalResult TextFieldOp::verify() {
  return success(succeeded(verifyYield(*this, getSource(), "source")) &&
                 succeeded(verifyOptions(*this, getOptions())));
}

LogicalResult PrecisionOp::verify() {
  return success(succeeded(verifyYield(*this, getKind(), "kind")) &&
                 (getOptions().empty() || succeeded(verifyOptions(*this, getOptions()))));
}
LogicalResult LossOp::verify() { return verifyYield(*this, getBody(), "body", 0); }

LogicalResult OptimizeOp::verify() {
  return success(succeeded(verifyYield(*this, getOptimizer(), "optimizer")) &&
                 succeeded(verifyOptions(*this, getOptions(), [](Operation *Op) { return isa<PerWeightOp>(Op); })));
}

LogicalResult ScheduleOp::verify() {
  return success(succeeded(verifyYield(*this, getSchedule(), "schedule")) &&
                 succeeded(verifyOptions(*this, getOptions())));
}

LogicalResult EvaluateOp::verify() {
  return success(succeeded(verifyYield(*this, getDataset(), "dataset")) &&
                 succeeded(verifyOptions(*this, getOptions())));
}

} // namespace vcc::vcs
