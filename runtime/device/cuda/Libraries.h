// SPDX-License-Identifier: Apache-2.0
//
// NVIDIA's libraries, loaded when a program starts to need them. A program that is only asked what it trains needs none.
#ifndef VCC_RUNTIME_DEVICE_CUDA_LIBRARIES_H
#define VCC_RUNTIME_DEVICE_CUDA_LIBRARIES_H

#include "runtime/collectives/nccl/CollectiveApi.h"
#include "runtime/device/cuda/AttentionApi.h"
#include "runtime/device/cuda/ProductApi.h"

#include <string>
#include <vector>

namespace vcc::runtime::cuda {

/// The driver, of CUDA 12.0 at least. Throws Failure(Exit::Machine) where there is none or it is older. Loaded once.
const DriverApi &loadDriver();

/// cuBLASLt 13 or 12; `folder` (--cuda-libs) may be empty. Loaded once.
const ProductApi &loadProducts(const std::string &folder);

/// NCCL 2, likewise.
const CollectiveApi &loadCollectives(const std::string &folder);

/// cuDNN 9; likewise.
const AttentionApi &loadAttention(const std::string &folder);

/// Where a library of the toolkit is looked for, in order: in the folders of `folder` alone (divided by colons), and in those of NVIDIA's
/// packages that lie in one of them, where it is given; else CUDA_HOME, the loader's own places, the toolkit's usual one, the packages of
/// an active Python environment (VIRTUAL_ENV, CONDA_PREFIX), those of the `python3` on the PATH. An empty folder stands for the loader's own.
std::vector<std::string> libraryFolders(const std::string &folder);

} // namespace vcc::runtime::cuda
#endif
