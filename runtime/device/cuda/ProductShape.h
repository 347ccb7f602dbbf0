// SPDX-License-Identifier: Apache-2.0
//
// A product of the launch table as cuBLASLt sees one: matrices by columns, one stack of them. A result by rows is the product of
// the transposes, which read the same memory by columns.
#ifndef VCC_RUNTIME_DEVICE_CUDA_PRODUCTSHAPE_H
#define VCC_RUNTIME_DEVICE_CUDA_PRODUCTSHAPE_H

#include "runtime/program/Abi.h"

#include <cstdint>

namespace vcc::runtime::cuda {

/// A matrix as it lies in memory, column after column; `transposed` where the product takes it turned.
struct StoredMatrix {
  int64_t rows = 0, columns = 0, stride = 0;
  bool transposed = false;
  int64_t batchStride = 0;
};

/// D (by columns) = A * B + beta * C, `batch` times; all of it again for each of `outer`.
struct ProductShape {
  StoredMatrix a, b, d;
  int64_t batch = 1, outer = 1;
  int64_t outerA = 0, outerB = 0, outerD = 0; ///< elements from one of the outer ones to the next
  bool swapped = false;                       ///< A here is the launch's right-hand side, B its left-hand side
};

/// Fails, naming the launch, where an operand has no unit stride or a bias lies along the wrong side.
ProductShape shapeOf(const VccLaunch &launch);

} // namespace vcc::runtime::cuda
#endif
