// SPDX-License-Identifier: Apache-2.0
//
// The function's prologue and its memory accesses.
#include "compiler/codegen/cuda/GridFrame.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cuda {

GridFrame::GridFrame(tg::KernelOp Kernel, const GridWalk &Walk, const Geometry &Shape, ImplicitLocOpBuilder &B)
    : Kernel(Kernel), Walk(Walk), Shape(Shape), B(B), I64(B.getI64Type()) {}

LogicalResult GridFrame::collectBuffers() {
  auto Memory = codegen::memoryOf(Kernel, "CUDA", /*TakesHalves=*/true);
  if (failed(Memory))
    return failure();
  for (auto [Buffer, Moves] : llvm::zip_equal(Memory->Buffers, Walk.Motions))
    Buffers.push_back({Buffer, Moves});
  ArgumentBuffers = std::move(Memory->OfArgument);
  ResultBuffers = std::move(Memory->OfResult);
  return success();
}

LogicalResult GridFrame::begin(StringRef Name) {
  if (failed(collectBuffers()))
    return failure();
  unsigned Words = Walk.Rank;
  for (GridBuffer &Buffer : Buffers) {
    Words += Buffer.Moves == Motion::Fixed ? 0 : Buffer.Moves == Motion::Unit ? Walk.Rank - 1 : Walk.Rank;
    Words += Buffer.Index >= 0 ? 2 : 0;
  }
  for (unsigned I = 0; I < ArgumentBuffers.size(); ++I)
    Words += isUniform(I);
  Words += hasSums(Kernel);
  SmallVector<Type> Types(Buffers.size(), LLVM::LLVMPointerType::get(B.getContext(), /*addressSpace=*/1));
  Types.append(Words, I64);
  Function = B.create<gpu::GPUFuncOp>(Name, B.getFunctionType(Types, {}));
  Function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), B.getUnitAttr());
  Function.setKnownBlockSize(ArrayRef<int32_t>{static_cast<int32_t>(Shape.Threads), 1, 1});
  mlir::Block &Entry = Function.getBody().front();
  B.setInsertionPointToStart(&Entry);
  unsigned Next = 0;
  auto Take = [&]() -> Value { return Entry.getArgument(Next++); };
  for (GridBuffer &Buffer : Buffers)
    Buffer.Base = Take();
  Rows = Take();
  for (unsigned D = 1; D < Walk.Rank; ++D)
    Dims.push_back(Take());
  for (GridBuffer &Buffer : Buffers) {
    unsigned Count = Buffer.Moves == Motion::Fixed ? 0 : Buffer.Moves == Motion::Unit ? Walk.Rank - 1 : Walk.Rank;
    for (unsigned I = 0; I < Count; ++I)
      Buffer.Strides.push_back(Take());
    if (Buffer.Moves == Motion::Unit)
      Buffer.Strides.push_back(constant(1));
    if (Buffer.Index >= 0) {
      Buffer.IndexStride = Take();
      Buffer.TableRows = Take();
    }
  }
  for (auto [I, Argument] : llvm::enumerate(Kernel.getBody().front().getArguments())) {
    if (!isUniform(I)) {
      Uniforms.push_back({});
      continue;
    }
    Value Bits = Take();
    Type Element = codegen::registerElement(getElementTypeOrSelf(Argument.getType()));
    if (!Element)
      return Kernel.emitOpError("uses element type ") << Argument.getType() << ", which has no CUDA code yet";
    if (auto Float = dyn_cast<FloatType>(Element)) {
      Bits = truncate(Bits, B.getIntegerType(Float.getWidth()));
      Uniforms.push_back(B.create<arith::BitcastOp>(Element, Bits));
    } else {
      Uniforms.push_back(truncate(Bits, Element));
    }
  }
  if (hasSums(Kernel))
    RowsPerChunk = Take();
  Thread = B.create<arith::IndexCastOp>(I64, B.create<gpu::ThreadIdOp>(gpu::Dimension::x));
  Block = B.create<arith::IndexCastOp>(I64, B.create<gpu::BlockIdOp>(gpu::Dimension::x));
  return success();
}

void GridFrame::end() {
  B.create<gpu::ReturnOp>();
  B.setInsertionPointAfter(Function);
}

Values GridFrame::offsetsOf(Value Row) {
  SmallVector<Value> Places(Walk.Rank);
  if (Walk.Rank == 1) {
    Places[0] = Row;
  } else {
    Value Left = truncate(Row, B.getI32Type());
    for (unsigned D = Walk.Rank - 1; D > 0; --D) {
      Value Dim = truncate(Dims[D - 1], B.getI32Type());
      Value Quotient = B.create<arith::DivUIOp>(Left, Dim);
      Value Place = B.create<arith::SubIOp>(Left, B.create<arith::MulIOp>(Quotient, Dim));
      Places[D] = B.create<arith::ExtUIOp>(I64, Place);
      Left = Quotient;
    }
    Places[0] = B.create<arith::ExtUIOp>(I64, Left);
  }
  Values Offsets;
  for (GridBuffer &Buffer : Buffers) {
    Value Offset;
    if (Buffer.Moves != Motion::Fixed)
      for (unsigned D = 0; D < Walk.Rank; ++D) {
        Value Part = Buffer.Moves == Motion::Unit && D + 1 == Walk.Rank ? Places[D] : mul(Places[D], Buffer.Strides[D]);
        Offset = Offset ? add(Offset, Part) : Part;
      }
    Offsets.push_back(Offset);
  }
  return Offsets;
}

Value GridFrame::clampedIndex(Value Index, const GridBuffer &Table) {
  if (Index.getType() != I64)
    Index = B.create<arith::ExtSIOp>(I64, Index);
  Value Inside = B.create<arith::CmpIOp>(arith::CmpIPredicate::ult, Index, Table.TableRows);
  return B.create<arith::SelectOp>(Inside, Index, constant(0));
}

Value GridFrame::constant(int64_t Number) { return B.create<arith::ConstantOp>(B.getI64IntegerAttr(Number)); }

Value GridFrame::both(Value A, Value C) {
  if (!A || !C)
    return A ? A : C;
  return B.create<arith::AndIOp>(A, C);
}

Value GridFrame::truncate(Value X, Type Type) {
  return X.getType() == Type ? X : Value(B.create<arith::TruncIOp>(Type, X));
}

Value GridFrame::splat(Value Scalar, unsigned Count) {
  if (Count == 1)
    return Scalar;
  return B.create<vector::BroadcastOp>(VectorType::get({int64_t(Count)}, Scalar.getType()), Scalar);
}

unsigned GridFrame::alignment(const GridBuffer &Buffer, unsigned Count) const {
  return std::min<unsigned>(16, storedBytes(Buffer.Storage) * Count);
}

Value GridFrame::address(Value From, Value Offset, Type Element) {
  if (!Offset)
    return From;
  return B.create<LLVM::GEPOp>(From.getType(), Element, From, ArrayRef<LLVM::GEPArg>{Offset});
}

Value GridFrame::load(Value From, Value Offset, const GridBuffer &Buffer, unsigned Count, Value Active) {
  Type T = Buffer.Storage;
  if (Count > 1)
    T = VectorType::get({int64_t(Count)}, T);
  auto Read = [&]() -> Value {
    return B.create<LLVM::LoadOp>(T, address(From, Offset, Buffer.Storage), alignment(Buffer, Count));
  };
  Value Loaded;
  if (!Active) {
    Loaded = Read();
  } else {
    auto If = B.create<scf::IfOp>(TypeRange{T}, Active, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard Guard(B);
    B.setInsertionPointToStart(If.thenBlock());
    B.create<scf::YieldOp>(Read());
    B.setInsertionPointToStart(If.elseBlock());
    B.create<scf::YieldOp>(Value(B.create<arith::ConstantOp>(B.getZeroAttr(T))));
    Loaded = If.getResult(0);
  }
  if (!Buffer.Element.isInteger(1))
    return Loaded;
  Value Zero = B.create<arith::ConstantOp>(B.getZeroAttr(T));
  return B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, Loaded, Zero);
}

void GridFrame::store(Value Stored, Value From, Value Offset, const GridBuffer &Buffer, Value Active) {
  unsigned Count = 1;
  Type Bytes = B.getI8Type();
  if (auto Vector = dyn_cast<VectorType>(Stored.getType())) {
    Count = Vector.getNumElements();
    Bytes = VectorType::get(Vector.getShape(), Bytes);
  }
  if (Buffer.Element.isInteger(1))
    Stored = B.create<arith::ExtUIOp>(Bytes, Stored);
  auto Write = [&] { B.create<LLVM::StoreOp>(Stored, address(From, Offset, Buffer.Storage), alignment(Buffer, Count)); };
  if (Active)
    when(Active, Write);
  else
    Write();
}

Values GridFrame::loop(Value From, Value To, Value Step, ValueRange Carried,
                       llvm::function_ref<Values(Value, ValueRange)> Body) {
  auto For = B.create<scf::ForOp>(From, To, Step, Carried);
  OpBuilder::InsertionGuard Guard(B);
  mlir::Block *Inside = For.getBody();
  if (Inside->mightHaveTerminator())
    Inside->getTerminator()->erase();
  B.setInsertionPointToEnd(Inside);
  Values Next = Body(For.getInductionVar(), For.getRegionIterArgs());
  B.create<scf::YieldOp>(Next);
  return Values(For.getResults());
}

void GridFrame::when(Value Condition, llvm::function_ref<void()> Body, llvm::function_ref<void()> Else) {
  auto If = B.create<scf::IfOp>(Condition, /*withElseRegion=*/static_cast<bool>(Else));
  OpBuilder::InsertionGuard Guard(B);
  B.setInsertionPointToStart(If.thenBlock());
  Body();
  if (Else) {
    B.setInsertionPointToStart(If.elseBlock());
    Else();
  }
}

Value GridFrame::shared(Type Element, int64_t Count) {
  auto Space = gpu::AddressSpaceAttr::get(B.getContext(), gpu::AddressSpace::Workgroup);
  Value Memory = Function.addWorkgroupAttribution(MemRefType::get({Count}, Element, AffineMap(), Space), B.getLoc());
  // Said, since LLVM takes an array of 16 bytes or more for aligned to 16, joins accesses to its neighbours by that, and writes down the
  // alignment of an element, which is all that ptxas then keeps to.
  Function.setWorkgroupAttributionAttr(Function.getNumWorkgroupAttributions() - 1, LLVM::LLVMDialect::getAlignAttrName(),
                                       B.getI64IntegerAttr(16));
  return Memory;
}

} // namespace vcc::cuda
