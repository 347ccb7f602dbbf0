// SPDX-License-Identifier: Apache-2.0
//
// The program's kernels on one GPU: modules are loaded one by one, when the first of their kernels is asked for.
#ifndef VCC_RUNTIME_DEVICE_CUDA_KERNELS_H
#define VCC_RUNTIME_DEVICE_CUDA_KERNELS_H

#include "runtime/device/cuda/Gpu.h"
#include "runtime/program/Abi.h"

#include <vector>

namespace vcc::runtime::cuda {

class Kernels {
public:
  Kernels(const Gpu &gpu, const VccDeviceCode &code) : Device(gpu), Code(code), Modules(code.module_count), Entries(code.kernel_count) {}

  struct Entry {
    Kernel kernel = nullptr;
    unsigned threads = 0;
  };
  /// A kernel by its number in the table.
  const Entry &at(uint64_t number);

  std::string nameOf(uint64_t number) const { return number < Code.kernel_count ? Code.kernels[number].name : "kernel"; }
  uint64_t modulesLoaded() const;
  /// How many of them the driver had to compile from PTX.
  uint64_t modulesCompiled() const { return Compiled; }

private:
  Module module(uint64_t number);
  bool load(const VccDeviceImage &image, Owned<Module> &module, Result &result) const;

  const Gpu &Device;
  const VccDeviceCode &Code;
  std::vector<Owned<Module>> Modules;
  std::vector<Entry> Entries;
  uint64_t Compiled = 0;
};

} // namespace vcc::runtime::cuda
#endif
