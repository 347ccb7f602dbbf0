// SPDX-License-Identifier: Apache-2.0
//
// Layout of states, inputs, outputs and constants. A flat weight that no trainable view lies in, and that is not
// trainable itself, is frozen and goes to the weights region; so does one that is joined.
#include "compiler/schedule/RegionLayout.h"
#include "compiler/schedule/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::schedule;

std::string schedule::inputBufferName(StringRef function, StringRef input) { return (function + "/in/" + input).str(); }
std::string schedule::outputBufferName(StringRef function, StringRef output) {
  return (function + "/out/" + output).str();
}

namespace {

int64_t bytesOf(RankedTensorType type) { return type.getNumElements() * exec::bytesOfElement(type.getElementType()); }

StringRef whyState(tg::StateOp op, bool frozen) {
  switch (op.getKind()) {
  case tg::StateKind::Weight:
    if (op.getJoined())
      return "frozen weight, low-rank factors behind it";
    return frozen ? "frozen weight" : "trained weight";
  case tg::StateKind::Gradient:
    return "gradient";
  case tg::StateKind::Moment:
    return "moment of the optimizer";
  case tg::StateKind::Counter:
    return "counter";
  }
  llvm_unreachable("state kind");
}

} // namespace

RegionLayout::RegionLayout(ModuleOp stage, OpBuilder &builder) : builder(builder) { layOutStates(stage); }

void RegionLayout::layOutStates(ModuleOp stage) {
  llvm::StringMap<bool> trained;
  llvm::StringMap<StringRef> storage;
  for (auto op : stage.getOps<tg::StateOp>())
    if (op.getStorage())
      storage[op.getSymName()] = *op.getStorage();
  for (auto op : stage.getOps<tg::StateOp>())
    if (op.getKind() != tg::StateKind::Weight || op.getTrainable())
      trained[op.getStorage() ? *op.getStorage() : op.getSymName()] = true;
  for (auto function : stage.getOps<func::FuncOp>())
    if (!function.getSymName().starts_with("init"))
      function.walk([&](tg::WriteOp op) {
        auto flat = storage.find(op.getState());
        trained[flat != storage.end() ? flat->second : op.getState()] = true;
      });
  for (auto op : stage.getOps<tg::StateOp>()) {
    if (op.getStorage())
      continue;
    bool frozen = op.getJoined() || (op.getKind() == tg::StateKind::Weight && !trained.lookup(op.getSymName()));
    Place &own = states[op.getSymName()] = place(frozen ? exec::Region::Weights : exec::Region::State, op.getSymName().str(),
                                                 op.getTensorType(), whyState(op, frozen), op.getLoc());
    own.frozen = frozen && !op.getJoined();
  }
  for (auto op : stage.getOps<tg::StateOp>()) {
    if (!op.getStorage())
      continue;
    const Place whole = states.lookup(*op.getStorage());
    Place view{op.getSymName().str(), whole.region, 0, bytesOf(op.getTensorType())};
    int64_t start = op.getOffset() ? static_cast<int64_t>(*op.getOffset()) : 0;
    view.frozen = whole.frozen;
    bool factor = whole.region == exec::Region::Weights && !whole.frozen && !op.getTransposed();
    view.offset = whole.offset + start * exec::bytesOfElement(op.getTensorType().getElementType());
    builder.create<exec::BufferOp>(op.getLoc(), view.buffer, view.region, view.offset, view.bytes, op.getTensorType(),
                                   FlatSymbolRefAttr::get(builder.getContext(), whole.buffer), FlatSymbolRefAttr(),
                                   IntegerAttr(), IntegerAttr(), ElementsAttr(),
                                   factor ? "low-rank factor" : whyState(op, view.region == exec::Region::Weights), op.getTransposed());
    states[op.getSymName()] = view;
  }
}

Place RegionLayout::place(exec::Region region, std::string name, RankedTensorType type, StringRef why, Location loc,
                          ElementsAttr value) {
  int64_t &end = sizes[static_cast<int>(region)];
  Place result{std::move(name), region, end, bytesOf(type)};
  end = static_cast<int64_t>(llvm::alignTo(end + result.bytes, exec::BufferAlignment));
  builder.create<exec::BufferOp>(loc, result.buffer, region, result.offset, result.bytes, type, FlatSymbolRefAttr(),
                                 FlatSymbolRefAttr(), IntegerAttr(), IntegerAttr(), value, why);
  return result;
}

const Place &RegionLayout::state(StringRef path) const { return states.find(path)->second; }

const Place &RegionLayout::input(StringRef function, tg::InputOp op) {
  std::string name = inputBufferName(function, op.getName());
  auto [entry, isNew] = channels.try_emplace(name);
  if (isNew)
    entry->second = place(exec::Region::Io, name, cast<RankedTensorType>(op.getResult().getType()), "input",
                          op.getLoc());
  return entry->second;
}

const Place &RegionLayout::output(StringRef function, StringRef output, Value value) {
  std::string name = outputBufferName(function, output);
  auto [entry, isNew] = channels.try_emplace(name);
  if (isNew)
    entry->second = place(exec::Region::Io, name, cast<RankedTensorType>(value.getType()), "output", value.getLoc());
  return entry->second;
}

Place RegionLayout::constant(ElementsAttr value, Location loc) {
  auto [entry, isNew] = constants.try_emplace(value);
  if (isNew)
    entry->second = place(exec::Region::Constant, "constant/" + std::to_string(constants.size() - 1),
                          cast<RankedTensorType>(value.getShapedType()), "constant", loc, value);
  return entry->second;
}
