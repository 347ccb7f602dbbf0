// SPDX-License-Identifier: Apache-2.0
//
// Matrix products through cuBLASLt: bias in its epilogue, addend and accumulation as beta * C. The library's heuristic is asked
// once for each shape, within the workspace that all products share.
#ifndef VCC_RUNTIME_DEVICE_CUDA_PRODUCTS_H
#define VCC_RUNTIME_DEVICE_CUDA_PRODUCTS_H

#include "runtime/device/cuda/Enqueue.h"
#include "runtime/device/cuda/ProductApi.h"
#include "runtime/device/cuda/ProductShape.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vcc::runtime::cuda {

class Products {
public:
  /// Needs the GPU's context to be current.
  Products(const ProductApi &api, const Gpu &gpu);
  ~Products();
  Products(const Products &) = delete;
  Products &operator=(const Products &) = delete;

  std::unique_ptr<Enqueued> make(const VccLaunch &launch, const Regions &regions);
  /// "cuBLASLt 13.0.2".
  std::string version() const;
  uint64_t shapesChosen() const { return Chosen.size(); }

private:
  friend class ProductLaunch;
  void check(ProductResult result, const VccLaunch &launch, const char *doing) const;

  const ProductApi &Api;
  ProductHandle Handle = nullptr;
  std::map<std::vector<int64_t>, ProductAlgorithm> Chosen;
};

} // namespace vcc::runtime::cuda
#endif
