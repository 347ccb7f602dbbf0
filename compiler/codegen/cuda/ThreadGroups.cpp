// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/cuda/ThreadGroups.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cuda {

void ThreadGroups::barrier() { B.create<gpu::BarrierOp>(); }

/// The value of the thread whose number differs in one bit. The whole warp takes part, so the width is always 32.
Value ThreadGroups::shuffle(Value X, int64_t Distance) {
  Type T = X.getType(), I32 = B.getI32Type(), I64 = B.getI64Type();
  if (T.isF32() || T == I32) {
    Value Offset = B.create<arith::ConstantOp>(B.getI32IntegerAttr(static_cast<int32_t>(Distance)));
    Value Width = B.create<arith::ConstantOp>(B.getI32IntegerAttr(WarpThreads));
    return B.create<gpu::ShuffleOp>(X, Offset, Width, gpu::ShuffleMode::XOR).getShuffleResult();
  }
  unsigned Bits = T.getIntOrFloatBitWidth();
  if (Bits < 32) { // small integers
    Value Wide = shuffle(B.create<arith::ExtUIOp>(I32, X), Distance);
    return B.create<arith::TruncIOp>(T, Wide);
  }
  // 64 bits go in two halves.
  Value Whole = isa<FloatType>(T) ? Value(B.create<arith::BitcastOp>(I64, X)) : X;
  Value HalfBits = Frame.constant(32);
  Value Low = shuffle(B.create<arith::TruncIOp>(I32, Whole), Distance);
  Value High = shuffle(B.create<arith::TruncIOp>(I32, Value(B.create<arith::ShRUIOp>(Whole, HalfBits))), Distance);
  Value Joined = B.create<arith::ShLIOp>(Value(B.create<arith::ExtUIOp>(I64, High)), HalfBits);
  Joined = B.create<arith::OrIOp>(Joined, Value(B.create<arith::ExtUIOp>(I64, Low)));
  return isa<FloatType>(T) ? Value(B.create<arith::BitcastOp>(T, Joined)) : Joined;
}

/// One piece of memory per type, the largest that is asked for.
Value ThreadGroups::memory(Type Element, int64_t Count) {
  for (Value &Known : Memories) {
    auto Type = mlir::cast<MemRefType>(Known.getType());
    if (Type.getElementType() == Element && Type.getNumElements() >= Count)
      return Known;
  }
  Memories.push_back(Frame.shared(Element, Count));
  return Memories.back();
}

Values ThreadGroups::combine(ArrayRef<Part> Parts, int64_t Group) {
  Values Held;
  for (const Part &P : Parts)
    Held.push_back(P.Held);
  for (int64_t Distance = std::min(Group, WarpThreads) / 2; Distance > 0; Distance /= 2)
    for (auto [P, Value] : llvm::zip(Parts, Held))
      Value = Ops.combine(P.Kind, P.Element, Value, shuffle(Value, Distance));
  int64_t Warps = Group / WarpThreads;
  if (Warps <= 1)
    return Held;
  // The first thread of each warp says what its warp has; then every warp combines them all.
  Value WarpSize = Frame.constant(WarpThreads);
  Value Lane = B.create<arith::RemUIOp>(Frame.Thread, WarpSize), Warp = B.create<arith::DivUIOp>(Frame.Thread, WarpSize);
  Value First = B.create<arith::CmpIOp>(arith::CmpIPredicate::eq, Lane, Frame.constant(0));
  auto PlaceOf = [&](Value Number) { return Value(B.create<arith::IndexCastOp>(B.getIndexType(), Number)); };
  barrier(); // what an earlier round left has been read
  SmallVector<Value> Places;
  for (size_t I = 0; I < Parts.size(); ++I)
    Places.push_back(memory(Held[I].getType(), Warps * static_cast<int64_t>(Parts.size())));
  Frame.when(First, [&] {
    for (size_t I = 0; I < Parts.size(); ++I) {
      Value Number = Frame.add(Warp, Frame.constant(static_cast<int64_t>(I) * Warps));
      B.create<memref::StoreOp>(Held[I], Places[I], ValueRange{PlaceOf(Number)});
    }
  });
  barrier();
  Value Mine = B.create<arith::AndIOp>(Lane, Frame.constant(Warps - 1));
  for (size_t I = 0; I < Parts.size(); ++I) {
    Value Number = Frame.add(Mine, Frame.constant(static_cast<int64_t>(I) * Warps));
    Held[I] = B.create<memref::LoadOp>(Places[I], ValueRange{PlaceOf(Number)});
  }
  for (int64_t Distance = Warps / 2; Distance > 0; Distance /= 2)
    for (auto [P, Value] : llvm::zip(Parts, Held))
      Value = Ops.combine(P.Kind, P.Element, Value, shuffle(Value, Distance));
  return Held;
}

Values ThreadGroups::sumOverGroups(ValueRange Given, ArrayRef<Type> Elements, int64_t Group) {
  Values Held(Given);
  int64_t Threads = Frame.Shape.Threads;
  for (int64_t Count = Threads / Group / 2; Count > 0; Count /= 2) {
    // Groups Count and up hand over to those below; the order of two is always the lower group's first.
    int64_t Givers = Count * Group;
    Value Gives = B.create<arith::CmpIOp>(arith::CmpIPredicate::sge, Frame.Thread, Frame.constant(Givers));
    Value Known = Frame.less(Frame.Thread, Frame.constant(2 * Givers));
    Value Takes = Frame.less(Frame.Thread, Frame.constant(Givers));
    for (auto [Element, Value] : llvm::zip(Elements, Held)) {
      int64_t Width = 1;
      if (auto Vector = dyn_cast<VectorType>(Value.getType()))
        Width = Vector.getNumElements();
      Type Stored = getElementTypeOrSelf(Value.getType());
      mlir::Value Memory = memory(Stored, Width * Threads / 2);
      auto Place = [&](mlir::Value Thread, int64_t I) -> mlir::Value {
        mlir::Value Number = Frame.add(Thread, Frame.constant(I * Givers));
        return B.create<arith::IndexCastOp>(B.getIndexType(), Number);
      };
      auto Element1 = [&](mlir::Value V, int64_t I) -> mlir::Value {
        return Width == 1 ? V : mlir::Value(B.create<vector::ExtractOp>(V, ArrayRef<int64_t>{I}));
      };
      barrier();
      Frame.when(Frame.both(Gives, Known), [&] {
        mlir::Value Place0 = B.create<arith::SubIOp>(Frame.Thread, Frame.constant(Givers));
        for (int64_t I = 0; I < Width; ++I)
          B.create<memref::StoreOp>(Element1(Value, I), Memory, ValueRange{Place(Place0, I)});
      });
      barrier();
      mlir::Value Other = Value;
      auto If = B.create<scf::IfOp>(TypeRange{Value.getType()}, Takes, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard Guard(B);
      B.setInsertionPointToStart(If.thenBlock());
      for (int64_t I = 0; I < Width; ++I) {
        mlir::Value Read = B.create<memref::LoadOp>(Memory, ValueRange{Place(Frame.Thread, I)});
        Other = Width == 1 ? Read : mlir::Value(B.create<vector::InsertOp>(Read, Other, ArrayRef<int64_t>{I}));
      }
      B.create<scf::YieldOp>(Ops.combine(tg::ReduceKind::Sum, Element, Value, Other));
      B.setInsertionPointToStart(If.elseBlock());
      B.create<scf::YieldOp>(Value);
      Value = If.getResult(0);
    }
  }
  return Held;
}

} // namespace vcc::cuda
