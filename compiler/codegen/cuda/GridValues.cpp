// SPDX-License-Identifier: Apache-2.0
//
// What a value of the body is for a chunk of columns, and for the row.
#include "compiler/codegen/cuda/GridEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cuda {

GridEmitter::GridEmitter(tg::KernelOp Kernel, const GridWalk &Walk, const Geometry &Shape, ImplicitLocOpBuilder &B)
    : Kernel(Kernel), Walk(Walk), Shape(Shape), B(B), Frame(Kernel, Walk, Shape, B),
      Ops(B, {"CUDA", /*HasFma=*/true, /*HasHalves=*/true, /*DividesIntegers=*/true}), Groups(Frame, Ops), Body(Kernel.getBody().front()), Levels(Body),
      Flat(Kernel.getKernelClass() == tg::KernelClass::Flat), Columns(Kernel.getColumns()) {}

Type GridEmitter::lanesOf(Type Element, unsigned Width) {
  Type Register = codegen::registerElement(Element);
  return Width == 1 ? Register : VectorType::get({int64_t(Width)}, Register);
}

Value GridEmitter::zero(Value V, unsigned Width) {
  Type Element = codegen::registerElement(elementOf(V));
  return B.create<arith::ConstantOp>(B.getZeroAttr(Width == 1 ? Element : VectorType::get({int64_t(Width)}, Element)));
}

//===- Constants ----------------------------------------------------------------------------------------------------===//

static bool isTable(tg::ConstantOp Op) { return codegen::isRow(Op.getResult()) && !mlir::cast<ElementsAttr>(Op.getValue()).isSplat(); }

/// Constant rows become memory of the module, named after the kernel.
void GridEmitter::addTables(StringRef Name) {
  for (auto [I, Op] : llvm::enumerate(Body.getOps<tg::ConstantOp>())) {
    if (!isTable(Op))
      continue;
    auto Dense = mlir::dyn_cast<DenseElementsAttr>(Op.getValue());
    if (!Dense) {
      Op.emitOpError("has values in a form that a CUDA kernel cannot hold");
      return fail();
    }
    GridBuffer Table;
    Table.Element = elementOf(Op.getResult());
    Table.Storage = Table.Element.isInteger(1) ? B.getI8Type() : codegen::registerElement(Table.Element);
    if (Table.Element.isInteger(1)) {
      SmallVector<int8_t> Bytes;
      for (bool Bit : Dense.getValues<bool>())
        Bytes.push_back(Bit);
      Dense = DenseElementsAttr::get(RankedTensorType::get({Columns}, B.getI8Type()), ArrayRef<int8_t>(Bytes));
    } else if (Table.Storage != Table.Element) {
      Dense = Dense.bitcast(Table.Storage);
    }
    B.create<LLVM::GlobalOp>(LLVM::LLVMArrayType::get(Table.Storage, Columns), /*isConstant=*/true, LLVM::Linkage::Internal,
                             (Name + "_table" + Twine(I)).str(), Dense, /*alignment=*/16, /*addrSpace=*/1);
    Tables[Op] = Table;
  }
}

/// A constant of one value, as a scalar.
Value GridEmitter::literalScalar(tg::ConstantOp Op) {
  Type Register = codegen::registerElement(elementOf(Op.getResult()));
  auto Dense = mlir::dyn_cast<DenseElementsAttr>(Op.getValue());
  if (!Dense || !Dense.isSplat()) {
    Op.emitOpError("has values in a form that a CUDA kernel cannot hold");
    fail();
    return B.create<arith::ConstantOp>(B.getZeroAttr(Register));
  }
  if (isa<FloatType>(Register))
    return B.create<arith::ConstantOp>(B.getFloatAttr(Register, *Dense.value_begin<APFloat>()));
  return B.create<arith::ConstantOp>(B.getIntegerAttr(Register, *Dense.value_begin<APInt>()));
}

Value GridEmitter::literal(tg::ConstantOp Op, Chunk &C) {
  auto Found = Tables.find(Op);
  if (Found == Tables.end())
    return Frame.splat(literalScalar(Op), C.Width);
  return Frame.load(Found->second.Base, C.Column, Found->second, C.Width, C.Active);
}

//===- A chunk ------------------------------------------------------------------------------------------------------===//

/// `Width` elements that lie `InnerStride` apart.
Value GridEmitter::gather(Value From, Value First, GridBuffer &Buffer, unsigned Width, Value Active) {
  if (Buffer.InnerStride == 0)
    return Frame.splat(Frame.load(From, {}, Buffer, 1, Active), Width);
  if (Buffer.InnerStride == 1)
    return Frame.load(From, First, Buffer, Width, Active);
  Value Place = Frame.mul(First, Frame.constant(Buffer.InnerStride));
  Value Result;
  for (unsigned I = 0; I < Width; ++I) {
    Value Offset = I == 0 ? Place : Frame.add(Place, Frame.constant(I * Buffer.InnerStride));
    Value Element = Frame.load(From, Offset, Buffer, 1, Active);
    if (Width == 1)
      return Element;
    if (!Result)
      Result = B.create<arith::ConstantOp>(B.getZeroAttr(VectorType::get({int64_t(Width)}, Element.getType())));
    Result = B.create<vector::InsertOp>(Element, Result, ArrayRef<int64_t>{I});
  }
  return Result;
}

Value GridEmitter::parameter(BlockArgument Argument, Chunk &C) {
  unsigned I = Argument.getArgNumber();
  if (Frame.isUniform(I))
    return Frame.splat(Frame.uniform(I), C.Width);
  unsigned Number = Frame.bufferOfArgument(I);
  GridBuffer &Buffer = Frame.buffer(Number);
  if (!Flat)
    return gather(Pointers[Number], C.Column, Buffer, C.Width, C.Active);
  if (Buffer.Index >= 0) {
    assert(C.Width == 1 && "a table is read element by element");
    Value Row = Frame.clampedIndex(at(Body.getArgument(Buffer.Index), C), Buffer);
    Value Offset = Frame.mul(Row, Buffer.IndexStride);
    if (C.Offsets[Number])
      Offset = Frame.add(Offset, C.Offsets[Number]);
    return Frame.load(Buffer.Base, Offset, Buffer, 1, C.Active);
  }
  if (Buffer.Moves == Motion::Fixed)
    return Frame.splat(Scalars.lookup(Argument), C.Width);
  return Frame.load(Buffer.Base, C.Offsets[Number], Buffer, C.Width, C.Active);
}

/// First, First + 1, ... as numbers of the graph, which are i32 wherever they are whole.
Value GridEmitter::places(Value First, unsigned Width, Type Element) {
  Type I32 = B.getI32Type();
  Value Numbers = Frame.splat(Frame.truncate(First, I32), Width);
  if (Width > 1) {
    SmallVector<int32_t> Steps;
    for (unsigned I = 0; I < Width; ++I)
      Steps.push_back(static_cast<int32_t>(I));
    auto T = VectorType::get({int64_t(Width)}, I32);
    Numbers = B.create<arith::AddIOp>(Numbers, B.create<arith::ConstantOp>(DenseElementsAttr::get(T, ArrayRef<int32_t>(Steps))));
  }
  Type T = lanesOf(Element, Width);
  if (Element.isInteger(32))
    return Numbers;
  if (isa<FloatType>(Element)) {
    Type Wide = lanesOf(Element.isF64() ? Element : B.getF32Type(), Width);
    return Ops.narrow(B.create<arith::SIToFPOp>(Wide, Numbers), Element);
  }
  if (Element.isInteger(64))
    return B.create<arith::ExtSIOp>(T, Numbers);
  return B.create<arith::TruncIOp>(T, Numbers);
}

Value GridEmitter::compute(Value V, Chunk &C) {
  if (auto Argument = dyn_cast<BlockArgument>(V))
    return parameter(Argument, C);
  Operation *Op = V.getDefiningOp();
  auto Operand = [&](Value X) {
    return isLane(X) ? at(X, C) : Frame.splat(scalar(X), C.Width);
  };
  if (isa<tg::BroadcastOp, tg::ReshapeOp>(Op))
    return Operand(Op->getOperand(0));
  if (auto Literal = dyn_cast<tg::ConstantOp>(Op))
    return literal(Literal, C);
  if (isa<tg::RowIndexOp>(Op)) // of a flat kernel
    return places(C.Column, C.Width, elementOf(V));
  if (isa<tg::IotaOp>(Op))
    return places(Flat ? Frame.constant(0) : C.Column, C.Width, elementOf(V));
  Values Operands;
  for (Value X : Op->getOperands())
    Operands.push_back(Operand(X));
  FailureOr<Value> Result = Failed ? FailureOr<Value>(failure()) : Ops.emit(Op, Operands);
  if (succeeded(Result))
    return *Result;
  fail();
  return zero(V, C.Width);
}

Value GridEmitter::at(Value V, Chunk &C) {
  auto Found = C.Known.find(V);
  if (Found != C.Known.end())
    return Found->second;
  Value Result = Failed ? zero(V, C.Width) : compute(V, C);
  C.Known[V] = Result;
  return Result;
}

//===- A row --------------------------------------------------------------------------------------------------------===//

Value GridEmitter::scalar(Value V) {
  auto Found = Scalars.find(V);
  if (Found != Scalars.end())
    return Found->second;
  Value Result;
  Operation *Op = V.getDefiningOp();
  if (auto Argument = dyn_cast<BlockArgument>(V)) {
    unsigned I = Argument.getArgNumber();
    if (Frame.isUniform(I)) {
      Result = Frame.uniform(I);
    } else {
      unsigned Number = Frame.bufferOfArgument(I);
      Result = Frame.load(Pointers[Number], {}, Frame.buffer(Number), 1, RowActive);
    }
  } else if (isa<tg::RowIndexOp>(Op)) {
    Result = places(RowNumber, 1, elementOf(V));
  } else if (auto Literal = dyn_cast<tg::ConstantOp>(Op)) {
    Result = literalScalar(Literal);
  } else if (isa<tg::BroadcastOp, tg::ReshapeOp>(Op) && !codegen::isRow(Op->getOperand(0))) {
    Result = scalar(Op->getOperand(0));
  } else {
    Values Operands;
    for (Value X : Op->getOperands()) {
      if (codegen::isRow(X)) {
        Op->emitOpError("makes a row scalar from a row, which a CUDA kernel can do by tg.reduce only");
        fail();
        return zero(V, 1);
      }
      Operands.push_back(scalar(X));
    }
    FailureOr<Value> Made = Failed ? FailureOr<Value>(failure()) : Ops.emit(Op, Operands);
    if (failed(Made))
      fail();
    Result = succeeded(Made) ? *Made : zero(V, 1);
  }
  return Scalars[V] = Result;
}

void GridEmitter::emitScalars(unsigned Level) {
  for (Operation &Op : Body.without_terminator())
    if (!isa<tg::ReduceOp>(Op) && Op.getNumResults() == 1 && !codegen::isRow(Op.getResult(0)) &&
        Levels.of(Op.getResult(0)) <= Level)
      scalar(Op.getResult(0));
}

LogicalResult GridEmitter::run(StringRef Name) {
  addTables(Name);
  if (Failed || failed(Frame.begin(Name)))
    return failure();
  for (auto [I, Op] : llvm::enumerate(Body.getOps<tg::ConstantOp>()))
    if (auto Found = Tables.find(Op); Found != Tables.end())
      Found->second.Base = B.create<LLVM::AddressOfOp>(LLVM::LLVMPointerType::get(B.getContext(), 1),
                                                       (Name + "_table" + Twine(I)).str());
  ChunkNumber = Frame.Block;
  if (Flat)
    flat();
  else if (Kernel.getKernelClass() == tg::KernelClass::Scatter)
    tableRows();
  else
    rows();
  Frame.end();
  return failure(Failed);
}

} // namespace vcc::cuda
