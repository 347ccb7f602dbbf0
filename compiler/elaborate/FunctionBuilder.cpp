// SPDX-License-Identifier: Apache-2.0
//
// Reads, inputs, random state and outputs of a function of a stage.
#include "compiler/elaborate/FunctionBuilder.h"

namespace vcc::elaborate {

static mlir::func::FuncOp makeFunction(mlir::ModuleOp stage, StringRef name, mlir::Location loc) {
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(stage.getBody());
  auto function = builder.create<mlir::func::FuncOp>(loc, name, builder.getFunctionType({}, {}));
  function.addEntryBlock();
  return function;
}

FunctionBuilder::FunctionBuilder(mlir::ModuleOp stage, StringRef name, mlir::Location loc,
                                 bool training, FaultSink &faults)
    : graph(mlir::OpBuilder(stage.getContext()), faults), function(makeFunction(stage, name, loc)),
      training(training) {
  graph.ops.setInsertionPointToEnd(&function.getBody().front());
  graph.loc = loc;
}

FailureOr<Tensor> FunctionBuilder::read(Weight &weight) {
  auto found = reads.find(&weight);
  if (found != reads.end())
    return found->second;
  if (admit && failed(admit(weight, graph.loc)))
    return llvm::failure();
  auto type = mlir::RankedTensorType::get(weight.shape, graph.ops.getF32Type());
  auto symbol = mlir::FlatSymbolRefAttr::get(graph.ops.getContext(), weight.path());
  Tensor tensor = graph.wrap(graph.ops.create<tg::ReadOp>(graph.loc, type, symbol), weight.origins);
  reads.insert({&weight, tensor});
  return tensor;
}

Tensor FunctionBuilder::readState(StringRef path, int64_t size) {
  auto type = mlir::RankedTensorType::get({size}, graph.ops.getF32Type());
  return graph.wrap(graph.ops.create<tg::ReadOp>(graph.loc, type, mlir::FlatSymbolRefAttr::get(graph.ops.getContext(), path)));
}

void FunctionBuilder::writeState(StringRef path, mlir::Value value) {
  graph.ops.create<tg::WriteOp>(graph.loc, mlir::FlatSymbolRefAttr::get(graph.ops.getContext(), path), value, mlir::UnitAttr());
}

Tensor FunctionBuilder::input(StringRef name, ArrayRef<int64_t> shape, mlir::Type element,
                              ArrayRef<DimOrigin> origins) {
  auto [entry, isNew] = inputs.try_emplace(name);
  if (isNew) {
    auto type = mlir::RankedTensorType::get(shape, element);
    entry->second = graph.wrap(graph.ops.create<tg::InputOp>(graph.loc, type, name), origins);
  }
  return entry->second;
}

mlir::Value FunctionBuilder::rng() {
  return input("rng", {4}, graph.ops.getI32Type(), {graph.here()}).value;
}

mlir::Value FunctionBuilder::rngOf(int64_t first) {
  int64_t places = tiled && first == clips ? clipsOfSample : rows > 0 ? llvm::divideCeil(first, rows) : 1;
  if (places == 1)
    return rng();
  auto type = mlir::RankedTensorType::get({4}, graph.ops.getI32Type());
  int32_t by[] = {1, 1, 1, static_cast<int32_t>(places)};
  auto factors = mlir::DenseElementsAttr::get(type, ArrayRef<int32_t>(by));
  mlir::Value constant = graph.ops.create<tg::ConstantOp>(graph.loc, factors);
  return graph.ops.create<tg::MulOp>(graph.loc, rng(), constant);
}

Tensor FunctionBuilder::clipInput(StringRef what, int64_t count) {
  DimOrigin origin{graph.loc, mlir::StringAttr::get(graph.ops.getContext(), "the number of clips")};
  Tensor made = input(("batch.clip_" + what).str(), {clips}, graph.ops.getI32Type(), {origin});
  graph.idBounds.insert({made.value, {count, {graph.loc, mlir::StringAttr::get(graph.ops.getContext(), "the clips of the batch")}}});
  return made;
}

tg::SiteAttr FunctionBuilder::site(StringRef path) {
  int count = sites[path]++;
  std::string name = path.str();
  if (count)
    name += "#" + std::to_string(count);
  return tg::SiteAttr::get(graph.ops.getContext(), name);
}

llvm::LogicalResult FunctionBuilder::output(StringRef name, const Tensor &value) {
  auto [first, isNew] = outputs.try_emplace(name, graph.loc);
  if (!isNew)
    return graph.fault(FaultKind::BadValue, "`" + name.str() + "` is reported twice")
        .note(first->second, "first reported here")
        .help("give each its own name; a part that is called twice reports twice");
  graph.ops.create<tg::OutputOp>(graph.loc, name, value.value);
  return llvm::success();
}

void FunctionBuilder::finish() {
  segments.drawBorders();
  graph.ops.create<mlir::func::ReturnOp>(graph.loc);
}

} // namespace vcc::elaborate
