// SPDX-License-Identifier: Apache-2.0
//
// The functions of cuBLASLt that this runtime calls, as a table: filled from libcublasLt in a program, by a stand-in in tests.
// Own declarations of the C interface, whose values are the same in versions 12 and 13.
#ifndef VCC_RUNTIME_DEVICE_CUDA_PRODUCTAPI_H
#define VCC_RUNTIME_DEVICE_CUDA_PRODUCTAPI_H

#include "runtime/device/cuda/DriverApi.h"

namespace vcc::runtime::cuda {

enum ProductResult : int { ProductSuccess = 0, ProductAllocFailed = 3, ProductArchMismatch = 8, ProductNotSupported = 15 };

using ProductHandle = struct ProductHandleObject *;     ///< cublasLtHandle_t
using ProductKind = struct ProductKindObject *;         ///< cublasLtMatmulDesc_t
using MatrixLayout = struct MatrixLayoutObject *;       ///< cublasLtMatrixLayout_t
using ProductWishes = struct ProductWishesObject *;     ///< cublasLtMatmulPreference_t

enum ElementKind : int { ElementF32 = 0, ElementF16 = 2, ElementBf16 = 14 }; ///< cudaDataType
enum ComputeKind : int { ComputeF32 = 68, ComputeTf32 = 77 };   ///< cublasComputeType_t
enum LayoutAttribute : int { LayoutBatchCount = 5, LayoutBatchStride = 6 };
enum KindAttribute : int { KindTransposeA = 3, KindTransposeB = 4, KindEpilogue = 7, KindBias = 8, KindBiasType = 26 };
enum WishAttribute : int { WishWorkspace = 1, WishAlignmentA = 5, WishAlignmentB = 6, WishAlignmentC = 7, WishAlignmentD = 8 };
enum Epilogue : uint32_t { EpilogueNone = 1, EpilogueBias = 4 };

/// cublasLtMatmulAlgo_t and cublasLtMatmulHeuristicResult_t.
struct ProductAlgorithm {
  uint64_t data[8];
};
struct ProductChoice {
  ProductAlgorithm algorithm;
  size_t workspace;
  ProductResult state;
  float waves;
  int reserved[4];
};

#define VCC_PRODUCT_CALLS(X)                                                                                                    \
  X(create, cublasLtCreate, (ProductHandle * handle))                                                                           \
  X(destroy, cublasLtDestroy, (ProductHandle handle))                                                                           \
  X(createLayout, cublasLtMatrixLayoutCreate, (MatrixLayout * layout, ElementKind type, uint64_t rows, uint64_t columns, int64_t stride)) \
  X(destroyLayout, cublasLtMatrixLayoutDestroy, (MatrixLayout layout))                                                          \
  X(setLayout, cublasLtMatrixLayoutSetAttribute, (MatrixLayout layout, LayoutAttribute attribute, const void *value, size_t bytes)) \
  X(createKind, cublasLtMatmulDescCreate, (ProductKind * kind, ComputeKind compute, ElementKind scale))                         \
  X(destroyKind, cublasLtMatmulDescDestroy, (ProductKind kind))                                                                 \
  X(setKind, cublasLtMatmulDescSetAttribute, (ProductKind kind, KindAttribute attribute, const void *value, size_t bytes))      \
  X(createWishes, cublasLtMatmulPreferenceCreate, (ProductWishes * wishes))                                                     \
  X(destroyWishes, cublasLtMatmulPreferenceDestroy, (ProductWishes wishes))                                                     \
  X(setWish, cublasLtMatmulPreferenceSetAttribute, (ProductWishes wishes, WishAttribute attribute, const void *value, size_t bytes)) \
  X(choose, cublasLtMatmulAlgoGetHeuristic,                                                                                     \
    (ProductHandle handle, ProductKind kind, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d, ProductWishes wishes, \
     int wanted, ProductChoice *choices, int *found))                                                                           \
  X(multiply, cublasLtMatmul,                                                                                                   \
    (ProductHandle handle, ProductKind kind, const void *alpha, const void *a, MatrixLayout aLayout, const void *b,             \
     MatrixLayout bLayout, const void *beta, const void *c, MatrixLayout cLayout, void *d, MatrixLayout dLayout,                \
     const ProductAlgorithm *algorithm, void *workspace, size_t workspaceBytes, Stream stream))

struct ProductApi {
#define VCC_PRODUCT_MEMBER(MEMBER, SYMBOL, PARAMETERS) ProductResult(*MEMBER) PARAMETERS = nullptr;
  VCC_PRODUCT_CALLS(VCC_PRODUCT_MEMBER)
#undef VCC_PRODUCT_MEMBER
  size_t (*version)() = nullptr; ///< cublasLtGetVersion
};

} // namespace vcc::runtime::cuda
#endif
