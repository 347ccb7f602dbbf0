// SPDX-License-Identifier: Apache-2.0
//
// The making of a tg.kernel and its launch.
#include "compiler/fuse/KernelBody.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

KernelBody::KernelBody(MLIRContext *context, Location loc, Walk walk)
    : loc(loc), theWalk(std::move(walk)), block(new Block()), inner(context) {
  inner.setInsertionPointToEnd(block);
}

KernelBody::~KernelBody() {
  if (block)
    delete block;
}

Type KernelBody::rowType(Type element) const {
  return theWalk.flat ? scalarType(element) : RankedTensorType::get({theWalk.columns}, element);
}

Value KernelBody::addArgument(Type type, Parameter parameter) {
  parameters.push_back(std::move(parameter));
  return block->addArgument(type, loc);
}

Value KernelBody::parameter(Value tensor, tg::ParamAttr kind, tg::AccessAttr access) {
  for (auto [i, known] : llvm::enumerate(parameters))
    if (known.tensor == tensor && known.kind == kind && known.access == access)
      return block->getArgument(i);
  bool isRow = kind.getKind() == tg::ParamKind::Row || kind.getKind() == tg::ParamKind::Indexed;
  return addArgument(isRow ? rowType(elementOf(tensor)) : scalarType(elementOf(tensor)),
                     {tensor, kind, access, TypedAttr()});
}

unsigned KernelBody::parameterNumber(Value argument) const { return cast<BlockArgument>(argument).getArgNumber(); }

Value KernelBody::uniform(TypedAttr value) {
  for (auto [i, known] : llvm::enumerate(parameters))
    if (!known.tensor && known.immediate == value)
      return block->getArgument(i);
  auto kind = tg::ParamAttr::get(inner.getContext(), tg::ParamKind::Uniform, 1, -1);
  return addArgument(scalarType(value.getType()), {Value(), kind, tg::AccessAttr(), value});
}

Value KernelBody::integer(int64_t value) {
  return uniform(inner.getI32IntegerAttr(static_cast<int32_t>(static_cast<uint32_t>(value))));
}

Value KernelBody::rowIndex() {
  if (!row)
    row = inner.create<tg::RowIndexOp>(loc, scalarType(inner.getI32Type()));
  return row;
}

Value KernelBody::columnIndex() {
  if (!column)
    column = inner.create<tg::IotaOp>(loc, rowType(inner.getI32Type()), 0);
  return column;
}

Value KernelBody::spread(Value scalar) {
  if (theWalk.flat)
    return scalar;
  Value &known = spreads[scalar];
  if (!known)
    known = inner.create<tg::BroadcastOp>(loc, rowType(elementOf(scalar)), scalar, ArrayRef<int64_t>{});
  return known;
}

Value KernelBody::remainder(Value a, Value b) {
  return make<tg::SubOp>(a, make<tg::MulOp>(make<tg::DivOp>(a, b), b));
}

void KernelBody::result(Value yielded, tg::ResultAttr kind, tg::AccessAttr access, Type type) {
  yields.push_back(yielded);
  results.push_back(kind);
  resultAccesses.push_back(access);
  resultTypes.push_back(type);
}

tg::LaunchOp KernelBody::finish(OpBuilder &at, llvm::function_ref<FlatSymbolRefAttr(tg::KernelOp)> name,
                                llvm::function_ref<Value(Value)> map, std::optional<int64_t> rowsPerChunk) {
  inner.create<tg::YieldOp>(loc, yields);
  SmallVector<Attribute> kinds, accesses, uniforms;
  SmallVector<Value> inputs;
  for (const Parameter &parameter : parameters) {
    kinds.push_back(parameter.kind);
    if (!parameter.tensor) {
      uniforms.push_back(parameter.immediate);
      continue;
    }
    inputs.push_back(map(parameter.tensor));
    accesses.push_back(parameter.access);
  }
  accesses.append(resultAccesses);
  OpBuilder detached(inner.getContext());
  auto kernel = detached.create<tg::KernelOp>(
      loc, "kernel", theWalk.flat ? tg::KernelClass::Flat : tg::KernelClass::Row, theWalk.columns,
      detached.getArrayAttr(kinds), detached.getArrayAttr(results));
  kernel.getBody().push_back(block);
  block = nullptr;
  FlatSymbolRefAttr symbol = name(kernel);
  return at.create<tg::LaunchOp>(loc, resultTypes, symbol, inputs, at.getDenseI64ArrayAttr(theWalk.dims),
                                 at.getArrayAttr(accesses), at.getArrayAttr(uniforms),
                                 rowsPerChunk ? at.getI64IntegerAttr(*rowsPerChunk) : IntegerAttr());
}
