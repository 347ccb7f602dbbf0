// SPDX-License-Identifier: Apache-2.0
//
// Whether the samples in a row of a packed field are kept apart: what mixes positions of such rows, and where positions are counted
// from. Judged by the traced graph, not by what a recipe names: asking for `.starts` and leaving it unused keeps nothing apart.
#include "compiler/elaborate/Stage.h"

namespace vcc::elaborate {

namespace {

llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) { return llvm::cast<mlir::RankedTensorType>(value.getType()).getShape(); }

/// What a packed field gives to a function, and what is made of it.
class PackedRows {
public:
  PackedRows(mlir::func::FuncOp function, const std::string &field) {
    for (mlir::Operation &op : function.getBody().front()) {
      auto input = llvm::dyn_cast<tg::InputOp>(op);
      if (input && input.getName() == field + ".starts")
        starts = input.getResult();
      if (input && input.getName() == field + ".ids")
        rows = shapeOf(input.getResult());
      // Its tokens, and the places of its visual rows: a clip by itself is of one sample.
      bool ofRow = input && (input.getName() == field + ".ids" || input.getName() == field + ".at");
      if (ofRow || llvm::any_of(op.getOperands(), [&](mlir::Value v) { return values.contains(v); }))
        values.insert(op.result_begin(), op.result_end());
      if (input || llvm::any_of(op.getOperands(), [&](mlir::Value v) { return fed.contains(v); }))
        fed.insert(op.result_begin(), op.result_end());
      else if (differs(op))
        differing.insert(op.result_begin(), op.result_end());
    }
  }

  /// Why an operation lets samples see each other; empty: it does not.
  std::string fault(mlir::Operation &op) const {
    if (auto attention = llvm::dyn_cast<tg::AttentionOp>(op))
      return faultOf(attention);
    // A product with a weight is of each position; one of positions with positions is of two samples.
    if (llvm::isa<tg::DotGeneralOp>(op))
      return holds(op.getOperand(0)) && holds(op.getOperand(1)) ? "this product multiplies its positions with each other" : "";
    return "";
  }

  /// Element by element, rows [B, L, ..] of the field meet what differs along L and is known without the batch.
  bool joinsPositions(mlir::Operation &op) const {
    if (op.getNumResults() != 1 || rows.size() != 2)
      return false;
    auto shape = shapeOf(op.getResult(0));
    if (shape.size() < 2 || shape[0] != rows[0] || shape[1] != rows[1] || !holds(op.getResult(0)))
      return false;
    bool alike = llvm::all_of(op.getOperands(), [&](mlir::Value v) { return shapeOf(v) == shape; });
    return alike && llvm::any_of(op.getOperands(), [&](mlir::Value v) { return differing.contains(v); });
  }

private:
  bool holds(mlir::Value value) const { return values.contains(value); }

  std::string faultOf(tg::AttentionOp attention) const {
    if (!holds(attention.getQ()) && !holds(attention.getK()) && !holds(attention.getV()))
      return "";
    if (!attention.getStarts())
      return "this attention does not ask where they start";
    if (attention.getStarts() != starts)
      return "the `starts` of this attention are not the field's own";
    // `starts` bounds the keys on one side: those that follow are of the next sample.
    if (!attention.getCausal())
      return "this attention is not `causal`, so that a sample sees those behind it";
    if (shapeOf(attention.getQ())[1] != shapeOf(attention.getK())[1])
      return "this attention has keys at other positions than its queries";
    return "";
  }

  /// Whether what an operation without inputs gives, taken as [B, L, ..], is not alike all along axis 1.
  bool differs(mlir::Operation &op) const {
    if (op.getNumResults() != 1)
      return false;
    if (auto constant = llvm::dyn_cast<tg::ConstantOp>(op))
      return !constant.getValue().isSplat();
    if (auto broadcast = llvm::dyn_cast<tg::BroadcastOp>(op))
      return llvm::is_contained(broadcast.getAxes(), 1);
    auto shape = shapeOf(op.getResult(0));
    bool alike = op.getNumOperands() > 0 && llvm::all_of(op.getOperands(), [&](mlir::Value v) { return shapeOf(v) == shape; });
    return !alike || llvm::any_of(op.getOperands(), [&](mlir::Value v) { return differing.contains(v); });
  }

  llvm::DenseSet<mlir::Value> values;    // made of the field's rows
  llvm::DenseSet<mlir::Value> fed;       // of any input
  llvm::DenseSet<mlir::Value> differing; // of none, and not alike along axis 1
  llvm::ArrayRef<int64_t> rows;          // B and L
  mlir::Value starts;
};

} // namespace

LogicalResult Stage::checkPacked(const BatchSpec &variant, FunctionBuilder &function) {
  for (const TextSpec &text : variant.texts) {
    if (!text.source || text.source->pack == 1)
      continue;
    PackedRows rows(function.function, text.name);
    auto told = [&](mlir::Operation &op, std::string why) -> LogicalResult {
      return fault(FaultKind::BadValue, op.getLoc(), "`" + text.name + "` has several samples in a row, but " + why)
          .note(text.loc, "it is packed here")
          .help("`attention(.., causal: true, starts: " + text.name + ".starts)` keeps samples apart and `rotary.rotate(.., starts: " +
                text.name + ".starts)` counts from each one's first position, as in the standard library's language models; else leave `pack` out");
    };
    mlir::Block &body = function.function.getBody().front();
    for (mlir::Operation &op : body)
      if (std::string why = rows.fault(op); !why.empty())
        return told(op, why);
    for (mlir::Operation &op : body)
      if (rows.joinsPositions(op))
        return told(op, "positions are counted from the row's first here, not from each sample's");
  }
  return llvm::success();
}

} // namespace vcc::elaborate
