// SPDX-License-Identifier: Apache-2.0
//
// cuBLASLt as its documentation describes it, by loops: matrices by columns, D = op(A) op(B) + beta C, a bias along the rows of D.
// Operands are read and the result is rounded as their types say; what is asked in other types than the documentation lists is refused.
#include "tests/runtime_cuda/FakeGpu.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace vcc::runtime::cuda {

namespace {

struct Layout {
  ElementKind type;
  uint64_t rows, columns;
  int64_t stride, batchStride = 0;
  int32_t batch = 1;
};
struct Kind {
  ComputeKind compute;
  ElementKind scale;
  int32_t turnA = 0, turnB = 0;
  uint32_t epilogue = EpilogueNone;
  const void *bias = nullptr;
  int32_t biasType = -1;
};

double cut(double value, int bits) { // to the nearest float with that many bits of fraction, ties to even
  if (value == 0 || !std::isfinite(value))
    return value;
  int exponent = 0;
  double fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, bits + 1)), exponent - bits - 1);
}

double read(const void *data, ElementKind type, int64_t index) {
  if (type == ElementF32)
    return double(static_cast<const float *>(data)[index]);
  if (type == ElementF16)
    return double(static_cast<const _Float16 *>(data)[index]);
  return double(std::bit_cast<float>(uint32_t(static_cast<const uint16_t *>(data)[index]) << 16));
}
void write(void *data, ElementKind type, int64_t index, double value) {
  if (type == ElementF32)
    static_cast<float *>(data)[index] = float(value);
  else if (type == ElementF16)
    static_cast<_Float16 *>(data)[index] = _Float16(float(value));
  else
    static_cast<uint16_t *>(data)[index] = uint16_t(std::bit_cast<uint32_t>(float(cut(value, 7))) >> 16);
}

/// A matrix as lines of what is summed over; `apart`: the line's elements lie a stride apart.
void gather(std::vector<double> &lines, const void *data, const Layout &layout, int32_t matrix, bool apart, uint64_t count, uint64_t inner, ComputeKind compute) {
  for (uint64_t line = 0; line < count; ++line)
    for (uint64_t k = 0; k < inner; ++k) {
      int64_t place = apart ? int64_t(line) + int64_t(k) * layout.stride : int64_t(k) + int64_t(line) * layout.stride;
      double value = read(data, layout.type, matrix * layout.batchStride + place);
      lines[line * inner + k] = compute == ComputeTf32 ? cut(value, 10) : value;
    }
}

double dot(const double *a, const double *b, uint64_t count) {
  std::array<double, 8> sums{};
  uint64_t k = 0;
  for (; k + sums.size() <= count; k += sums.size())
    for (size_t i = 0; i < sums.size(); ++i)
      sums[i] += a[k + i] * b[k + i];
  for (; k < count; ++k)
    sums[0] += a[k] * b[k];
  double sum = 0;
  for (double part : sums)
    sum += part;
  return sum;
}

constexpr ProductResult Invalid = ProductResult(7);

template <typename T>
ProductResult set(T &field, const void *value, size_t bytes) {
  if (bytes != sizeof(T))
    return Invalid;
  std::memcpy(&field, value, bytes);
  return ProductSuccess;
}

} // namespace

// Layouts and kinds are the structures behind the handles.
static Layout &of(MatrixLayout layout) { return *reinterpret_cast<Layout *>(layout); }
static Kind &of(ProductKind kind) { return *reinterpret_cast<Kind *>(kind); }

ProductResult FakeGpu::product_create(ProductHandle *handle) { return *handle = FakeGpu::handle<ProductHandle>(), ProductSuccess; }
ProductResult FakeGpu::product_destroy(ProductHandle) { return --Live, ProductSuccess; }

ProductResult FakeGpu::product_createLayout(MatrixLayout *layout, ElementKind type, uint64_t rows, uint64_t columns, int64_t stride) {
  if ((type != ElementF32 && type != ElementF16 && type != ElementBf16) || !rows || !columns || stride < int64_t(rows))
    return Invalid;
  ++Live;
  *layout = reinterpret_cast<MatrixLayout>(new Layout{type, rows, columns, stride});
  return ProductSuccess;
}
ProductResult FakeGpu::product_destroyLayout(MatrixLayout layout) { return delete &of(layout), --Live, ProductSuccess; }
ProductResult FakeGpu::product_setLayout(MatrixLayout layout, LayoutAttribute attribute, const void *value, size_t bytes) {
  return attribute == LayoutBatchCount ? set(of(layout).batch, value, bytes) : set(of(layout).batchStride, value, bytes);
}

ProductResult FakeGpu::product_createKind(ProductKind *kind, ComputeKind compute, ElementKind scale) {
  if ((compute != ComputeF32 && compute != ComputeTf32) || scale != ElementF32)
    return Invalid;
  ++Live;
  *kind = reinterpret_cast<ProductKind>(new Kind{compute, scale});
  return ProductSuccess;
}
ProductResult FakeGpu::product_destroyKind(ProductKind kind) { return delete &of(kind), --Live, ProductSuccess; }
ProductResult FakeGpu::product_setKind(ProductKind kind, KindAttribute attribute, const void *value, size_t bytes) {
  switch (attribute) {
  case KindTransposeA:
    return set(of(kind).turnA, value, bytes);
  case KindTransposeB:
    return set(of(kind).turnB, value, bytes);
  case KindEpilogue:
    return set(of(kind).epilogue, value, bytes);
  case KindBias:
    return set(of(kind).bias, value, bytes);
  case KindBiasType:
    return set(of(kind).biasType, value, bytes);
  }
  return Invalid;
}

ProductResult FakeGpu::product_createWishes(ProductWishes *wishes) { return *wishes = FakeGpu::handle<ProductWishes>(), ProductSuccess; }
ProductResult FakeGpu::product_destroyWishes(ProductWishes) { return --Live, ProductSuccess; }
ProductResult FakeGpu::product_setWish(ProductWishes, WishAttribute attribute, const void *value, size_t bytes) {
  if (bytes != (attribute == WishWorkspace ? 8 : 4))
    return Invalid;
  if (attribute == WishWorkspace)
    return set(wished.emplace_back(), value, bytes);
  return set(aligned[attribute], value, bytes);
}
ProductResult FakeGpu::product_choose(ProductHandle, ProductKind, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout, ProductWishes, int wanted,
                                      ProductChoice *choices, int *found) {
  *found = int(std::min<size_t>(size_t(wanted), algorithms.size()));
  for (int i = 0; i < *found; ++i) {
    choices[i] = {};
    choices[i].algorithm.data[0] = uint64_t(i);
    for (WishAttribute attribute : {WishAlignmentA, WishAlignmentB, WishAlignmentC, WishAlignmentD})
      choices[i].algorithm.data[1 + attribute - WishAlignmentA] = aligned.at(attribute);
    choices[i].workspace = algorithms[size_t(i)].workspace, choices[i].state = algorithms[size_t(i)].state;
  }
  return ProductSuccess;
}

ProductResult FakeGpu::product_multiply(ProductHandle, ProductKind kind, const void *alpha, const void *aData, MatrixLayout aLayout, const void *bData,
                                        MatrixLayout bLayout, const void *beta, const void *cData, MatrixLayout cLayout, void *dData,
                                        MatrixLayout dLayout, const ProductAlgorithm *algorithm, void *space, size_t workspace, Stream stream) {
  Kind how = of(kind);
  Layout a = of(aLayout), b = of(bLayout), c = of(cLayout), d = of(dLayout);
  uint64_t rows = how.turnA ? a.columns : a.rows, inner = how.turnA ? a.rows : a.columns, columns = how.turnB ? b.rows : b.columns;
  bool fits = inner == (how.turnB ? b.columns : b.rows) && d.rows == rows && d.columns == columns && c.rows == rows && c.columns == columns;
  if (!fits || a.batch != d.batch || b.batch != d.batch || c.batch != d.batch || *static_cast<const float *>(alpha) != 1)
    return Invalid;
  const FakeAlgorithm &by = algorithms.at(algorithm->data[0]);
  ElementKind biasType = how.biasType < 0 ? d.type : ElementKind(how.biasType);
  bool known = a.type == b.type && c.type == d.type && (d.type == a.type || d.type == ElementF32) &&
               (how.compute == ComputeF32 || a.type == ElementF32) && biasType == d.type;
  if (!known || by.multiplies != ProductSuccess)
    return known ? by.multiplies : ProductNotSupported;
  // An algorithm reads as wide as was said to be right; a bias in 16 bytes, whatever was said.
  uint64_t places[] = {uint64_t(aData), uint64_t(bData), uint64_t(cData), uint64_t(dData)};
  for (size_t i = 0; i < 4; ++i)
    if (places[i] % algorithm->data[1 + i])
      return Invalid;
  if (by.workspace > workspace || uint64_t(how.bias) % 16 || uint64_t(space) % 256)
    return Invalid;
  float factor = *static_cast<const float *>(beta);
  asked.push_back({a.type, b.type, c.type, d.type, how.scale, how.compute, how.epilogue, how.biasType, factor, algorithm->data[0], workspace});
  auto act = [=] {
    std::vector<double> left(rows * inner), right(columns * inner);
    for (int32_t i = 0; i < d.batch; ++i) {
      gather(left, aData, a, i, !how.turnA, rows, inner, how.compute);
      gather(right, bData, b, i, how.turnB, columns, inner, how.compute);
      for (uint64_t column = 0; column < columns; ++column)
        for (uint64_t row = 0; row < rows; ++row) {
          int64_t place = int64_t(row) + int64_t(column) * c.stride;
          double sum = factor == 0 ? 0 : double(factor) * read(cData, c.type, i * c.batchStride + place);
          sum += dot(&left[row * inner], &right[column * inner], inner);
          if (how.epilogue == EpilogueBias)
            sum += read(how.bias, biasType, int64_t(row));
          write(dData, d.type, i * d.batchStride + int64_t(row) + int64_t(column) * d.stride, sum);
        }
    }
  };
  return put(stream, act, by.milliseconds) == Success ? ProductSuccess : Invalid;
}

} // namespace vcc::runtime::cuda
