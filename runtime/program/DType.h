// SPDX-License-Identifier: Apache-2.0
//
// Element types as the manifest, the data path and safetensors files name them.
#ifndef VCC_RUNTIME_PROGRAM_DTYPE_H
#define VCC_RUNTIME_PROGRAM_DTYPE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime {

enum class DType { F64, F32, F16, BF16, I64, I32, I16, I8, U8, Bool };

/// Bytes of one element.
constexpr int64_t bytesOf(DType type) {
  switch (type) {
  case DType::F64:
  case DType::I64:
    return 8;
  case DType::F32:
  case DType::I32:
    return 4;
  case DType::F16:
  case DType::BF16:
  case DType::I16:
    return 2;
  case DType::I8:
  case DType::U8:
  case DType::Bool:
    return 1;
  }
  return 1;
}

/// The manifest's name: `f32`, `i32`, `u8`, ...
std::string_view nameOf(DType type);

/// Reads the manifest's name (`ui8` and `i1` are accepted for `u8` and `bool`).
std::optional<DType> dtypeOf(std::string_view name);

using Shape = std::vector<int64_t>;

/// Number of elements of a shape that has been validated (no negative size, no overflow).
inline int64_t elementsOf(const Shape &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

/// `[64, 1536]`, for messages.
std::string textOf(const Shape &shape);

} // namespace vcc::runtime
#endif
