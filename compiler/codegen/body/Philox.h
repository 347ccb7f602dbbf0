// SPDX-License-Identifier: Apache-2.0
//
// Philox4x32-10 (Salmon et al., SC'11) over i32 scalars or vectors: ten rounds of two widening multiplications, lane by lane.
#ifndef VCC_COMPILER_CODEGEN_BODY_PHILOX_H
#define VCC_COMPILER_CODEGEN_BODY_PHILOX_H

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <array>

namespace vcc::codegen {

/// The four random words of a counter under a key. All values have one type, i32 or a vector of it.
std::array<mlir::Value, 4> philox(mlir::ImplicitLocOpBuilder &B, std::array<mlir::Value, 2> Key,
                                  std::array<mlir::Value, 4> Counter);

} // namespace vcc::codegen

#endif
