// SPDX-License-Identifier: Apache-2.0
//
// A tensor as it lies in somebody's file, and how it becomes a weight: gathered, its bytes swapped, its floats brought to
// the program's type.
#ifndef VCC_RUNTIME_WEIGHTS_STOREDTENSOR_H
#define VCC_RUNTIME_WEIGHTS_STOREDTENSOR_H

#include "runtime/program/DType.h"

#include <cstddef>
#include <optional>
#include <string>

namespace vcc::runtime {

struct StoredTensor {
  DType dtype = DType::F32;
  Shape shape;
  Shape strides; // in elements
  const std::byte *data = nullptr;
  bool swapped = false; // big-endian

  /// Whether the bytes lie as safetensors keep them.
  bool isRowMajor() const;
  /// From `data` to behind the last element.
  size_t extent() const;
};

/// The strides of a tensor that lies row by row.
Shape rowMajor(const Shape &shape);

/// Whether a weight of type `to` can be read from `from`: the same type, or both floats.
bool isReadable(DType from, DType to);

/// Writes all elements to `to`, row by row, as `dtype`; they must be readable as that. As f32 every f16, bf16 and f32 is exact; of
/// f64 the nearest f32 is taken. As bf16 or f16 the nearest one of that f32, ties to even. Returns the place of the first finite element that `dtype` cannot hold, or nothing.
std::optional<int64_t> readTensor(const StoredTensor &tensor, DType dtype, std::byte *to);

/// The bits of the nearest bf16 or f16, ties to even; a number too large becomes an infinity, one that is none stays none.
uint16_t narrowed(DType dtype, float value);

/// Whether both hold the same elements of the same type and shape.
bool isSame(const StoredTensor &a, const StoredTensor &b);

} // namespace vcc::runtime
#endif
