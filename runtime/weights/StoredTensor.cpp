// SPDX-License-Identifier: Apache-2.0
//
// Reading tensors element by element where a copy of bytes does not do.
#include "runtime/weights/StoredTensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace vcc::runtime {

Shape rowMajor(const Shape &shape) {
  Shape strides(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

bool StoredTensor::isRowMajor() const {
  int64_t expected = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected)
      return elementsOf(shape) == 0;
    expected *= shape[axis];
  }
  return true;
}

size_t StoredTensor::extent() const {
  if (elementsOf(shape) == 0)
    return 0;
  int64_t last = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    last += (shape[axis] - 1) * strides[axis];
  return size_t((last + 1) * bytesOf(dtype));
}

static bool isFloat(DType type) {
  return type == DType::F64 || type == DType::F32 || type == DType::F16 || type == DType::BF16;
}

bool isReadable(DType from, DType to) { return from == to || (isFloat(from) && (to == DType::F32 || to == DType::BF16 || to == DType::F16)); }

template <class Bits> static Bits load(const std::byte *from, bool swapped) {
  Bits bits;
  std::memcpy(&bits, from, sizeof bits);
  if constexpr (sizeof bits == 2)
    return swapped ? __builtin_bswap16(bits) : bits;
  else if constexpr (sizeof bits == 4)
    return swapped ? __builtin_bswap32(bits) : bits;
  else if constexpr (sizeof bits == 8)
    return swapped ? __builtin_bswap64(bits) : bits;
  else
    return bits;
}

/// Exact, subnormals, infinities and the bits of NaNs included.
static float fromHalf(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = (half >> 10) & 0x1f, fraction = half & 0x3ff;
  if (exponent == 0) {
    float value = float(fraction) * 0x1p-24f;
    return sign ? -value : value;
  }
  uint32_t wide = exponent == 0x1f ? 0xff : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

static float floatOf(DType type, const std::byte *from, bool swapped) {
  switch (type) {
  case DType::F64: return float(std::bit_cast<double>(load<uint64_t>(from, swapped)));
  case DType::F16: return fromHalf(load<uint16_t>(from, swapped));
  case DType::BF16: return std::bit_cast<float>(uint32_t(load<uint16_t>(from, swapped)) << 16);
  default: return std::bit_cast<float>(load<uint32_t>(from, swapped));
  }
}

static uint16_t toBrainFloat(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t toHalf(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  auto sign = uint16_t(bits >> 16 & 0x8000);
  uint32_t size = bits & 0x7fffffff;
  if (size > 0x7f800000)
    return uint16_t(sign | 0x7e00);
  if (size >= 0x477ff000) // 65520, halfway to what would come next
    return uint16_t(sign | 0x7c00);
  if (size < 0x38800000) // below the normal numbers: units of 2^-24, to which the sum of floats rounds
    return uint16_t(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(size) + 0.5f) - 0x3f000000));
  return uint16_t(sign | ((size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13));
}

uint16_t narrowed(DType dtype, float value) { return dtype == DType::F16 ? toHalf(value) : toBrainFloat(value); }

/// Calls row(from, elements, place) for every run of elements along the last axis.
template <class Row> static void eachRow(const StoredTensor &tensor, Row row) {
  int64_t count = elementsOf(tensor.shape), width = bytesOf(tensor.dtype);
  if (count == 0)
    return;
  if (tensor.isRowMajor())
    return row(tensor.data, count, width, int64_t(0));
  size_t outer = tensor.shape.size() - 1;
  Shape index(outer, 0);
  int64_t length = tensor.shape[outer], offset = 0;
  for (int64_t place = 0; place < count; place += length) {
    row(tensor.data + offset * width, length, tensor.strides[outer] * width, place);
    for (size_t axis = outer; axis-- > 0;) {
      offset += tensor.strides[axis];
      if (++index[axis] < tensor.shape[axis])
        break;
      offset -= tensor.strides[axis] * tensor.shape[axis];
      index[axis] = 0;
    }
  }
}

template <class Bits> static void copyBits(const StoredTensor &tensor, std::byte *to) {
  eachRow(tensor, [&](const std::byte *from, int64_t length, int64_t stride, int64_t place) {
    for (int64_t i = 0; i < length; ++i) {
      Bits bits = load<Bits>(from + i * stride, tensor.swapped);
      std::memcpy(to + (place + i) * int64_t(sizeof bits), &bits, sizeof bits);
    }
  });
}

static void copyAll(const StoredTensor &tensor, std::byte *to) {
  if (tensor.isRowMajor() && !tensor.swapped) {
    std::memcpy(to, tensor.data, size_t(elementsOf(tensor.shape) * bytesOf(tensor.dtype)));
    return;
  }
  switch (bytesOf(tensor.dtype)) {
  case 8: return copyBits<uint64_t>(tensor, to);
  case 4: return copyBits<uint32_t>(tensor, to);
  case 2: return copyBits<uint16_t>(tensor, to);
  default: return copyBits<uint8_t>(tensor, to);
  }
}

std::optional<int64_t> readTensor(const StoredTensor &tensor, DType dtype, std::byte *to) {
  if (elementsOf(tensor.shape) == 0)
    return std::nullopt;
  if (tensor.dtype == dtype) {
    copyAll(tensor, to);
    return std::nullopt;
  }
  std::optional<int64_t> lost;
  eachRow(tensor, [&](const std::byte *from, int64_t length, int64_t stride, int64_t place) {
    for (int64_t i = 0; i < length; ++i) {
      float value = floatOf(tensor.dtype, from + i * stride, tensor.swapped);
      bool wasInfinite = tensor.dtype == DType::F64
                             ? std::isinf(std::bit_cast<double>(load<uint64_t>(from + i * stride, tensor.swapped)))
                             : std::isinf(value);
      if (dtype == DType::BF16 || dtype == DType::F16) {
        uint16_t narrow = narrowed(dtype, value);
        std::memcpy(to + (place + i) * int64_t(sizeof narrow), &narrow, sizeof narrow);
        value = dtype == DType::BF16 ? std::bit_cast<float>(uint32_t(narrow) << 16) : fromHalf(narrow);
      } else {
        std::memcpy(to + (place + i) * int64_t(sizeof value), &value, sizeof value);
      }
      if (std::isinf(value) && !wasInfinite && !lost)
        lost = place + i;
    }
  });
  return lost;
}

bool isSame(const StoredTensor &a, const StoredTensor &b) {
  if (a.dtype != b.dtype || a.shape != b.shape || a.swapped != b.swapped)
    return false;
  if (a.data == b.data && a.strides == b.strides)
    return true;
  if (a.isRowMajor() && b.isRowMajor())
    return std::memcmp(a.data, b.data, a.extent()) == 0;
  std::vector<std::byte> left(size_t(elementsOf(a.shape) * bytesOf(a.dtype))), right(left.size());
  copyAll(a, left.data());
  copyAll(b, right.data());
  return left == right;
}

} // namespace vcc::runtime
