// SPDX-License-Identifier: Apache-2.0
//
// LLVM dialect loads and stores. Addresses promise no more than element alignment.
#include "compiler/codegen/cpu/Memory.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cpu {

Value Memory::fromStorage(Value Loaded, const KernelBuffer &Buffer) {
  if (!Buffer.Element.isInteger(1))
    return Loaded;
  TypedAttr Zero = B.getZeroAttr(Loaded.getType());
  return B.create<arith::CmpIOp>(arith::CmpIPredicate::ne, Loaded, B.create<arith::ConstantOp>(Zero));
}

Value Memory::toStorage(Value X, const KernelBuffer &Buffer) {
  if (!Buffer.Element.isInteger(1))
    return X;
  Type Bytes = B.getI8Type();
  if (auto Vector = dyn_cast<VectorType>(X.getType()))
    Bytes = VectorType::get(Vector.getShape(), Bytes);
  return B.create<arith::ExtUIOp>(Bytes, X);
}

Value Memory::loadScalar(Value Address, const KernelBuffer &Buffer) {
  return fromStorage(B.create<LLVM::LoadOp>(Buffer.Storage, Address, alignment(Buffer)), Buffer);
}

void Memory::storeScalar(Value X, Value Address, const KernelBuffer &Buffer) {
  B.create<LLVM::StoreOp>(toStorage(X, Buffer), Address, alignment(Buffer));
}

Value Memory::load(Value Address, const KernelBuffer &Buffer, Value Mask, Value Otherwise) {
  VectorType Type = vectorOf(Buffer.Storage);
  if (!Mask)
    return fromStorage(B.create<LLVM::LoadOp>(Type, Address, alignment(Buffer)), Buffer);
  Otherwise = Otherwise ? toStorage(Otherwise, Buffer) : Value(B.create<arith::ConstantOp>(B.getZeroAttr(Type)));
  return fromStorage(B.create<LLVM::MaskedLoadOp>(Type, Address, Mask, Otherwise, alignment(Buffer)), Buffer);
}

void Memory::store(Value Vector, Value Address, const KernelBuffer &Buffer, Value Mask) {
  Value Stored = toStorage(Vector, Buffer);
  if (Mask)
    B.create<LLVM::MaskedStoreOp>(Stored, Address, Mask, alignment(Buffer));
  else
    B.create<LLVM::StoreOp>(Stored, Address, alignment(Buffer));
}

Value Memory::addresses(Value Base, Value Offsets, const KernelBuffer &Buffer) {
  Type Pointers = LLVM::getFixedVectorType(LLVM::LLVMPointerType::get(B.getContext()), Lanes);
  return B.create<LLVM::GEPOp>(Pointers, Buffer.Storage, Base, ArrayRef<LLVM::GEPArg>{Offsets});
}

Value Memory::gather(Value Base, Value Offsets, const KernelBuffer &Buffer, Value Mask) {
  VectorType Type = vectorOf(Buffer.Storage);
  Value Zero = B.create<arith::ConstantOp>(B.getZeroAttr(Type));
  Value Loaded = B.create<LLVM::masked_gather>(Type, addresses(Base, Offsets, Buffer), Mask ? Mask : allLanes(),
                                               ValueRange{Zero}, alignment(Buffer));
  return fromStorage(Loaded, Buffer);
}

void Memory::scatter(Value Vector, Value Base, Value Offsets, const KernelBuffer &Buffer, Value Mask) {
  B.create<LLVM::masked_scatter>(toStorage(Vector, Buffer), addresses(Base, Offsets, Buffer),
                                 Mask ? Mask : allLanes(), alignment(Buffer));
}

Value Memory::splat(Value Scalar) {
  return B.create<vector::BroadcastOp>(vectorOf(Scalar.getType()), Scalar);
}

Value Memory::allLanes() { return firstLanes(int64_t(Lanes)); }

Value Memory::firstLanes(int64_t Count) {
  SmallVector<bool> Bits;
  for (int64_t I = 0; I < int64_t(Lanes); ++I)
    Bits.push_back(I < Count);
  return B.create<arith::ConstantOp>(DenseElementsAttr::get(vectorOf(B.getI1Type()), ArrayRef<bool>(Bits)));
}

Value Memory::firstLanes(Value Count) {
  // The count is below the number of lanes, so 32 bits hold it and compares stay cheap.
  Value Narrow = splat(B.create<arith::TruncIOp>(B.getI32Type(), Count));
  return B.create<arith::CmpIOp>(arith::CmpIPredicate::slt, steps(B.getI32Type()), Narrow);
}

Value Memory::steps(Type Element, int64_t Factor) {
  SmallVector<APInt> Numbers;
  for (int64_t I = 0; I < int64_t(Lanes); ++I)
    Numbers.emplace_back(Element.getIntOrFloatBitWidth(), static_cast<uint64_t>(I * Factor), /*isSigned=*/true);
  return B.create<arith::ConstantOp>(DenseElementsAttr::get(vectorOf(Element), Numbers));
}

} // namespace vcc::cpu
