// SPDX-License-Identifier: Apache-2.0
//
// One operation of arith, math or vector on the values of one thread, bit by bit as LLVM defines it.
#ifndef VCC_TESTS_UNIT_CODEGEN_LANEARITHMETIC_H
#define VCC_TESTS_UNIT_CODEGEN_LANEARITHMETIC_H

#include "mlir/IR/Operation.h"
#include <cstdint>

namespace vcc::test {

struct Lane {
  mlir::Type Element;
  llvm::MutableArrayRef<uint64_t> Bits; // one word per element
};

/// False for an operation that is not known.
bool computeLane(mlir::Operation &Op, llvm::ArrayRef<Lane> In, llvm::MutableArrayRef<Lane> Out);

} // namespace vcc::test

#endif
