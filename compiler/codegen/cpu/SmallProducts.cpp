// SPDX-License-Identifier: Apache-2.0
//
// A tile of two vectors keeps both multipliers of AVX-512 busy with 8 rows (16 sums of 32 registers); half the registers, half the
// rows.
#include "compiler/codegen/cpu/SmallProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace vcc::cpu {

constexpr int64_t TileVectors = 2;

SmallProducts::SmallProducts(ImplicitLocOpBuilder &B, const CpuTarget &Target)
    : LoopBuilder(B), Lanes(Target.lanes()), Mem(B, Target.lanes()), Ops(B, machineOf(Target)),
      TileRows(Target.HasMaskRegisters ? 8 : 4) {
  Floats.Element = Floats.Storage = B.getF32Type();
}

Value SmallProducts::plus(Value A, int64_t Number) { return B.create<arith::AddIOp>(A, constant(Number)); }

Value SmallProducts::at(Value Address, size_t Vector) {
  return Vector ? floatAddress(Address, constant(int64_t(Vector) * Lanes)) : Address;
}

Value SmallProducts::load(Value Address, const Columns &C, size_t Vector) {
  return Mem.load(at(Address, Vector), Floats, C.Masks[Vector]);
}

void SmallProducts::store(Value Stored, Value Address, const Columns &C, size_t Vector) {
  Mem.store(Stored, at(Address, Vector), Floats, C.Masks[Vector]);
}

Values SmallProducts::zeros(const Columns &C) {
  Value Zero = B.create<arith::ConstantOp>(B.getZeroAttr(Mem.vectorOf(B.getF32Type())));
  return Values(size_t(TileRows) * C.Masks.size(), Zero);
}

Values SmallProducts::product(Value From, Value To, const Columns &C, Values Sums, AddressOfNumber Number,
                              AddressOfVector Vector) {
  return loop(From, To, constant(1), Sums, [&](Value Step, ValueRange Carried) {
    Values Vectors, Next;
    Value Row = Vector(Step);
    for (size_t V = 0; V < C.Masks.size(); ++V)
      Vectors.push_back(load(Row, C, V));
    for (int64_t R = 0; R < TileRows; ++R) {
      Value Factor = Mem.splat(number(Number(R, Step)));
      for (Value V : Vectors)
        Next.push_back(Ops.Math.fma(Factor, V, Carried[Next.size()]));
    }
    return Next;
  });
}

void SmallProducts::forColumns(int64_t Count, llvm::function_ref<void(const Columns &)> Body) {
  int64_t Pairs = Count / (TileVectors * Lanes) * (TileVectors * Lanes);
  if (Pairs)
    loop(constant(0), constant(Pairs), constant(TileVectors * Lanes), {}, [&](Value First, ValueRange) {
      Body({First, Values(TileVectors)});
      return Values{};
    });
  if (Pairs == Count)
    return;
  Columns Rest{constant(Pairs), {}};
  for (int64_t Column = Pairs; Column < Count; Column += Lanes)
    Rest.Masks.push_back(Column + Lanes <= Count ? Value() : Mem.firstLanes(Count - Column));
  Body(Rest);
}

void SmallProducts::forVectors(Value From, Value To, llvm::function_ref<void(const Columns &)> Body) {
  Value Step = constant(TileVectors * Lanes);
  Value Pairs = B.create<arith::DivUIOp>(B.create<arith::SubIOp>(To, From), Step);
  Value Middle = addMul(From, Pairs, Step);
  loop(From, Middle, Step, {}, [&](Value First, ValueRange) {
    Body({First, Values(TileVectors)});
    return Values{};
  });
  loop(Middle, To, constant(Lanes), {}, [&](Value First, ValueRange) {
    Body({First, Values(1)});
    return Values{};
  });
}

/// A block of as many rows as lanes: rounds of interleaving the first half of the registers with the second.
void SmallProducts::transposeBlock(Value First, Value Place, Value Column, int64_t Width, AddressOfVector From,
                                   Value To, Value ToStride) {
  Values Block;
  Value Mask = Width < Lanes ? Mem.firstLanes(Width) : Value();
  for (int64_t R = 0; R < Lanes; ++R)
    Block.push_back(Mem.load(floatAddress(From(plus(First, R)), Column), Floats, Mask));
  SmallVector<int64_t> Low, High;
  for (int64_t I = 0; I < Lanes; ++I) {
    Low.push_back(I / 2 + I % 2 * Lanes);
    High.push_back(I / 2 + I % 2 * Lanes + Lanes / 2);
  }
  for (int64_t Round = 1; Round < Lanes; Round *= 2) {
    Values Next;
    for (int64_t I = 0; I < Lanes / 2; ++I)
      for (ArrayRef<int64_t> Half : {ArrayRef<int64_t>(Low), ArrayRef<int64_t>(High)})
        Next.push_back(B.create<vector::ShuffleOp>(Block[I], Block[I + Lanes / 2], Half));
    Block = Next;
  }
  for (int64_t R = 0; R < Width; ++R)
    Mem.store(Block[R], floatAddress(To, addMul(Place, plus(Column, R), ToStride)), Floats, {});
}

void SmallProducts::transpose(Value First, Value Last, int64_t ColumnCount, AddressOfVector From, Value To,
                              Value ToStride) {
  loop(First, Last, constant(Lanes), {}, [&](Value Row, ValueRange) {
    Value Place = B.create<arith::SubIOp>(Row, First);
    int64_t Whole = ColumnCount / Lanes * Lanes;
    loop(constant(0), constant(Whole), constant(Lanes), {}, [&](Value Column, ValueRange) {
      transposeBlock(Row, Place, Column, Lanes, From, To, ToStride);
      return Values{};
    });
    if (Whole < ColumnCount)
      transposeBlock(Row, Place, constant(Whole), ColumnCount - Whole, From, To, ToStride);
    return Values{};
  });
}

} // namespace vcc::cpu
