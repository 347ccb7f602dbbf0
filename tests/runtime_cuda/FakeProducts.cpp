// SPDX-License-Identifier: Apache-2.0
//
// cuBLASLt as its documentation describes it, by naive loops: matrices by columns, D = op(A) op(B) + beta C, a bias along the rows of D.
#include "tests/runtime_cuda/FakeGpu.h"

#include <cstring>

namespace vcc::runtime::cuda {

namespace {

struct Layout {
  uint64_t rows, columns;
  int64_t stride, batchStride = 0;
  int32_t batch = 1;
};
struct Kind {
  int32_t turnA = 0, turnB = 0;
  uint32_t epilogue = EpilogueNone;
  const float *bias = nullptr;
};

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
  if (type != ElementF32 || !rows || !columns || stride < int64_t(rows))
    return Invalid;
  ++Live;
  *layout = reinterpret_cast<MatrixLayout>(new Layout{rows, columns, stride});
  return ProductSuccess;
}
ProductResult FakeGpu::product_destroyLayout(MatrixLayout layout) { return delete &of(layout), --Live, ProductSuccess; }
ProductResult FakeGpu::product_setLayout(MatrixLayout layout, LayoutAttribute attribute, const void *value, size_t bytes) {
  return attribute == LayoutBatchCount ? set(of(layout).batch, value, bytes) : set(of(layout).batchStride, value, bytes);
}

ProductResult FakeGpu::product_createKind(ProductKind *kind, ComputeKind compute, ElementKind scale) {
  if (compute != ComputeF32 || scale != ElementF32)
    return Invalid;
  ++Live;
  *kind = reinterpret_cast<ProductKind>(new Kind);
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
  }
  return Invalid;
}

ProductResult FakeGpu::product_createWishes(ProductWishes *wishes) { return *wishes = FakeGpu::handle<ProductWishes>(), ProductSuccess; }
ProductResult FakeGpu::product_destroyWishes(ProductWishes) { return --Live, ProductSuccess; }
ProductResult FakeGpu::product_setWish(ProductWishes, WishAttribute attribute, const void *, size_t bytes) {
  return bytes == (attribute == WishWorkspace ? 8 : 4) ? ProductSuccess : Invalid;
}
ProductResult FakeGpu::product_choose(ProductHandle, ProductKind, MatrixLayout, MatrixLayout, MatrixLayout, MatrixLayout, ProductWishes, int wanted,
                                      ProductChoice *choices, int *found) {
  *found = wanted < 1 ? 0 : 1;
  choices[0] = {};
  return ProductSuccess;
}

ProductResult FakeGpu::product_multiply(ProductHandle, ProductKind kind, const void *alpha, const void *aData, MatrixLayout aLayout, const void *bData,
                                        MatrixLayout bLayout, const void *beta, const void *cData, MatrixLayout cLayout, void *dData,
                                        MatrixLayout dLayout, const ProductAlgorithm *, void *, size_t, Stream stream) {
  Kind how = of(kind);
  Layout a = of(aLayout), b = of(bLayout), c = of(cLayout), d = of(dLayout);
  uint64_t rows = how.turnA ? a.columns : a.rows, inner = how.turnA ? a.rows : a.columns, columns = how.turnB ? b.rows : b.columns;
  bool fits = inner == (how.turnB ? b.columns : b.rows) && d.rows == rows && d.columns == columns && c.rows == rows && c.columns == columns;
  if (!fits || a.batch != d.batch || b.batch != d.batch || c.batch != d.batch || *static_cast<const float *>(alpha) != 1)
    return Invalid;
  float factor = *static_cast<const float *>(beta);
  auto act = [=] {
    for (int32_t i = 0; i < d.batch; ++i) {
      auto *A = static_cast<const float *>(aData) + i * a.batchStride, *B = static_cast<const float *>(bData) + i * b.batchStride;
      auto *C = static_cast<const float *>(cData) + i * c.batchStride;
      auto *D = static_cast<float *>(dData) + i * d.batchStride;
      for (uint64_t column = 0; column < columns; ++column)
        for (uint64_t row = 0; row < rows; ++row) {
          double sum = factor == 0 ? 0 : double(factor) * double(C[row + column * uint64_t(c.stride)]);
          for (uint64_t k = 0; k < inner; ++k)
            sum += double(how.turnA ? A[k + row * uint64_t(a.stride)] : A[row + k * uint64_t(a.stride)]) *
                   double(how.turnB ? B[column + k * uint64_t(b.stride)] : B[k + column * uint64_t(b.stride)]);
          if (how.epilogue == EpilogueBias)
            sum += double(how.bias[row]);
          D[row + column * uint64_t(d.stride)] = float(sum);
        }
    }
  };
  return put(stream, act) == Success ? ProductSuccess : Invalid;
}

} // namespace vcc::runtime::cuda
