// SPDX-License-Identifier: Apache-2.0
//
// Matrix products through cuBLASLt: bias in its epilogue, addend and accumulation as beta * C. An algorithm is chosen once for each
// shape, within the workspace that all products share: the first that the library proposes, or the fastest of some.
#ifndef VCC_RUNTIME_DEVICE_CUDA_PRODUCTS_H
#define VCC_RUNTIME_DEVICE_CUDA_PRODUCTS_H

#include "runtime/device/cuda/Enqueue.h"
#include "runtime/device/cuda/ProductOperands.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vcc::runtime::cuda {

/// How many proposals the library is asked for.
constexpr int ProductsMeasured = 8;

class Products {
public:
  /// Needs the GPU's context to be current.
  Products(const ProductApi &api, const Gpu &gpu);
  ~Products();
  Products(const Products &) = delete;
  Products &operator=(const Products &) = delete;

  /// Chooses an algorithm. Where it is measured, that runs in the stream of computations and leaves something in the arena.
  std::unique_ptr<Enqueued> make(const VccLaunch &launch, const Regions &regions, const ProductWay &way);
  /// "cuBLASLt 13.0.2".
  std::string version() const;
  uint64_t shapesChosen() const { return Chosen.size(); }

private:
  friend class ProductLaunch;
  void check(ProductResult result, const VccLaunch &launch, const char *doing) const;

  const ProductApi &Api;
  const Gpu &Device;
  ProductHandle Handle = nullptr;
  std::map<std::vector<int64_t>, std::vector<ProductAlgorithm>> Chosen; ///< the one that is taken, then those that may stand in for it
};

} // namespace vcc::runtime::cuda
#endif
