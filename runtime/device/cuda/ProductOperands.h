// SPDX-License-Identifier: Apache-2.0
//
// Operands of a matrix product on the GPU: where they lie, of which type their elements are, how the library is to compute.
#ifndef VCC_RUNTIME_DEVICE_CUDA_PRODUCTOPERANDS_H
#define VCC_RUNTIME_DEVICE_CUDA_PRODUCTOPERANDS_H

#include "runtime/device/cuda/ProductApi.h"
#include "runtime/device/cuda/ProductShape.h"
#include "runtime/device/cuda/Regions.h"

namespace vcc::runtime::cuda {

/// How the products of a stage are made.
struct ProductWay {
  bool tf32 = false;     ///< f32 operands are cut to 10 bits of fraction
  bool measured = false; ///< some algorithms are timed, instead of trusting the library's order
};

/// Sums are f32 whatever the types are.
struct ProductOperands {
  Address a = 0, b = 0, result = 0; ///< a and b as the library takes them
  Address bias = 0;                 ///< 0: none
  Address added = 0;                ///< what beta multiplies; the result where there is no addend
  float beta = 0;
  ElementKind input = ElementF32, output = ElementF32; ///< of a and b; of the result, the bias, the addend
  ComputeKind compute = ComputeF32;

  int64_t inputBytes() const { return input == ElementF32 ? 4 : 2; }
  int64_t outputBytes() const { return output == ElementF32 ? 4 : 2; }
};

/// Fails, naming the launch, where the library has no such product.
ProductOperands operandsOf(const VccLaunch &launch, const ProductShape &shape, const Regions &regions, const ProductWay &way);

} // namespace vcc::runtime::cuda
#endif
