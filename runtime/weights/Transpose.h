// SPDX-License-Identifier: Apache-2.0
//
// Matrices whose rows and columns change places.
#ifndef VCC_RUNTIME_WEIGHTS_TRANSPOSE_H
#define VCC_RUNTIME_WEIGHTS_TRANSPOSE_H

#include <cstddef>
#include <cstdint>

namespace vcc::runtime {

/// Makes [rows, columns] at `matrix` [columns, rows] in its place. Elements of `width` bytes: 1, 2, 4 or 8.
void transpose(std::byte *matrix, int64_t rows, int64_t columns, int64_t width, int threads);

} // namespace vcc::runtime
#endif
