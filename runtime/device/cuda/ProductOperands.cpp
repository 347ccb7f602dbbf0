// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/ProductOperands.h"

#include "runtime/device/LaunchFaults.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace vcc::runtime::cuda {

namespace {

enum Part { A, B, Output, Bias, Addend, Parts };

ElementKind elementOf(const VccLaunch &launch, const VccBuffer &buffer) {
  switch (buffer.element) {
  case VCC_ELEMENT_F32:
    return ElementF32;
  case VCC_ELEMENT_BF16:
    return ElementBf16;
  case VCC_ELEMENT_F16:
    return ElementF16;
  }
  failLaunch(launch, fmt::format("multiplies elements of {} bytes, which are neither f32 nor bf16 nor f16", vcc_element_bytes(buffer.element)));
}

} // namespace

ProductOperands operandsOf(const VccLaunch &launch, const ProductShape &shape, const Regions &regions, const ProductWay &way) {
  if (launch.ints[VCC_GEMM_ACTIVATION] != VCC_ACTIVATION_NONE)
    failLaunch(launch, fmt::format("has activation {}, which is a kernel of its own on a GPU", launch.ints[VCC_GEMM_ACTIVATION]));
  Address at[Parts] = {};
  ElementKind kinds[Parts] = {};
  for (uint64_t i = 0; i < std::min<uint64_t>(launch.buffer_count, Parts); ++i) {
    at[i] = regions.resolve(launch.buffers[i]);
    if (at[i])
      kinds[i] = elementOf(launch, launch.buffers[i]);
  }
  if (kinds[A] != kinds[B])
    failLaunch(launch, "multiplies elements of two types");
  if (kinds[Output] != ElementF32 && kinds[Output] != kinds[A])
    failLaunch(launch, "gives elements of two bytes from others than those, which cuBLASLt cannot");
  for (Part part : {Bias, Addend})
    if (at[part] && kinds[part] != kinds[Output])
      failLaunch(launch, fmt::format("adds a{} of another type than its result's, which cuBLASLt cannot", part == Bias ? " bias" : "n addend"));
  bool accumulates = launch.ints[VCC_GEMM_ACCUMULATE] != 0;
  if (accumulates && at[Addend])
    failLaunch(launch, "adds to its result and an addend at once, which cuBLASLt cannot");
  if (shape.swapped)
    std::swap(at[A], at[B]);
  ProductOperands made;
  made.a = at[A], made.b = at[B], made.result = at[Output], made.bias = at[Bias];
  made.added = at[Addend] ? at[Addend] : at[Output];
  made.beta = accumulates || at[Addend] ? 1.0f : 0.0f;
  made.input = kinds[A], made.output = kinds[Output];
  made.compute = way.tf32 && made.input == ElementF32 ? ComputeTf32 : ComputeF32;
  return made;
}

} // namespace vcc::runtime::cuda
