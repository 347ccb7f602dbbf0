// SPDX-License-Identifier: Apache-2.0
//
// The rounds of Philox4x32-10, unrolled.
#include "compiler/codegen/body/Philox.h"

#include "compiler/codegen/body/VectorMath.h"

using namespace mlir;

namespace vcc::codegen {

std::array<Value, 4> philox(ImplicitLocOpBuilder &B, std::array<Value, 2> Key, std::array<Value, 4> Counter) {
  VectorMath Math(B, false);
  Type T = Counter[0].getType();
  auto Word = [&](uint32_t Number) { return Math.integer(T, static_cast<int32_t>(Number)); };
  auto Xor = [&](Value A, Value C) -> Value { return B.create<arith::XOrIOp>(A, C); };
  Value M0 = Word(0xD2511F53u), M1 = Word(0xCD9E8D57u);
  Value W0 = Word(0x9E3779B9u), W1 = Word(0xBB67AE85u);
  for (int Round = 0; Round < 10; ++Round) {
    if (Round > 0) {
      Key[0] = B.create<arith::AddIOp>(Key[0], W0);
      Key[1] = B.create<arith::AddIOp>(Key[1], W1);
    }
    auto P0 = B.create<arith::MulUIExtendedOp>(M0, Counter[0]);
    auto P1 = B.create<arith::MulUIExtendedOp>(M1, Counter[2]);
    Counter = {Xor(Xor(P1.getHigh(), Counter[1]), Key[0]), P1.getLow(),
               Xor(Xor(P0.getHigh(), Counter[3]), Key[1]), P0.getLow()};
  }
  return Counter;
}

} // namespace vcc::codegen
