// SPDX-License-Identifier: Apache-2.0
//
// Limits of ids, found by walking from a use back to the inputs of the function.
#include "compiler/elaborate/IdBounds.h"

#include "llvm/ADT/TypeSwitch.h"

namespace vcc::elaborate {

namespace {

using Bound = std::optional<IdBound>;

class Walk {
public:
  explicit Walk(const GraphBuilder &graph) : graph(graph) {}

  Bound of(mlir::Value value, unsigned depth = 0) {
    if (auto known = graph.idBounds.find(value); known != graph.idBounds.end())
      return known->second;
    mlir::Operation *op = value.getDefiningOp();
    // A limit is a convenience: beyond some depth it is left open rather than looked for.
    if (!op || depth > 64 || !isIds(value))
      return std::nullopt;
    auto [entry, isNew] = seen.try_emplace(value);
    if (!isNew)
      return entry->second;
    Bound found = through(op, depth + 1);
    seen[value] = found;
    return found;
  }

private:
  static bool isIds(mlir::Value value) {
    auto type = llvm::dyn_cast<mlir::RankedTensorType>(value.getType());
    return type && type.getElementType().isInteger(32);
  }

  static Bound larger(Bound a, Bound b) {
    if (!a || !b)
      return std::nullopt;
    return a->limit >= b->limit ? a : b;
  }

  static Bound smaller(Bound a, Bound b) {
    if (!a || !b)
      return a ? a : b;
    return a->limit <= b->limit ? a : b;
  }

  Bound constant(tg::ConstantOp op) {
    auto elements = llvm::dyn_cast<mlir::DenseIntElementsAttr>(op.getValue());
    if (!elements || elements.empty())
      return std::nullopt;
    int64_t most = INT64_MIN;
    if (elements.isSplat())
      most = elements.getSplatValue<llvm::APInt>().getSExtValue();
    else
      for (const llvm::APInt &element : elements)
        most = std::max(most, element.getSExtValue());
    return IdBound{most + 1, {op.getLoc(), nullptr}};
  }

  Bound through(mlir::Operation *op, unsigned depth) {
    auto at = [&](mlir::Value value) { return of(value, depth); };
    return llvm::TypeSwitch<mlir::Operation *, Bound>(op)
        .Case([&](tg::ConstantOp it) { return constant(it); })
        .Case([&](tg::IotaOp it) {
          auto type = llvm::cast<mlir::RankedTensorType>(it->getResult(0).getType());
          auto what = mlir::StringAttr::get(op->getContext(), "the length of `iota`");
          return IdBound{*llvm::max_element(type.getShape()), {op->getLoc(), what}};
        })
        .Case<tg::ReshapeOp, tg::BroadcastOp, tg::TransposeOp, tg::SliceOp>(
            [&](mlir::Operation *it) { return at(it->getOperand(0)); })
        .Case([&](tg::PadOp it) {
          double value = it.getValue().convertToDouble();
          // Written so that a value that no i32 holds leaves the limit open.
          if (!(value > -2147483649.0 && value < 2147483648.0))
            return Bound();
          IdBound filled{static_cast<int64_t>(value) + 1, {op->getLoc(), nullptr}};
          return larger(at(op->getOperand(0)), filled);
        })
        .Case([&](tg::ConcatOp) {
          Bound most = at(op->getOperand(0));
          for (mlir::Value part : op->getOperands().drop_front())
            most = larger(most, at(part));
          return most;
        })
        .Case([&](tg::GatherOp it) { return at(it.getTable()); })
        .Case([&](tg::SelectOp) { return larger(at(op->getOperand(1)), at(op->getOperand(2))); })
        .Case([&](tg::MaxOp) { return larger(at(op->getOperand(0)), at(op->getOperand(1))); })
        .Case([&](tg::MinOp) { return smaller(at(op->getOperand(0)), at(op->getOperand(1))); })
        .Default([](mlir::Operation *) { return Bound(); });
  }

  const GraphBuilder &graph;
  llvm::DenseMap<mlir::Value, Bound> seen;
};

} // namespace

std::optional<IdBound> idBound(const GraphBuilder &graph, mlir::Value ids) {
  return Walk(graph).of(ids);
}

llvm::LogicalResult requireIdsWithin(const GraphBuilder &graph, const Tensor &ids,
                                     const Tensor &table, int64_t axis, StringRef what) {
  auto bound = idBound(graph, ids.value);
  int64_t size = table.dim(axis);
  if (!bound || bound->limit <= size)
    return llvm::success();
  std::string limit = std::to_string(bound->limit);
  return graph
      .fault(FaultKind::IdOutOfRange, "ids below " + limit + " choose among " +
                                          std::to_string(size) + " " + what.str() +
                                          ": those from " + std::to_string(size) + " on have none")
      .note(bound->origin.loc, describeOrigin(bound->origin, bound->limit))
      .note(table.origins[axis].loc, describeOrigin(table.origins[axis], size))
      .help("at least " + limit + " " + what.str() + " are needed");
}

} // namespace vcc::elaborate
