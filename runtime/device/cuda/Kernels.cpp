// SPDX-License-Identifier: Apache-2.0
//
// A cubin for exactly this chip where the driver takes it (one older than the assembler that made it does not), else PTX.
#include "runtime/device/cuda/Kernels.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::cuda {

/// Whether a driver says by this that it cannot read the form, and not that something is wrong with the GPU: what it says to a cubin of a newer
/// toolkit has changed from version to version (200, 209, 218, 222, 300), but is of the group of these.
static bool isOfTheForm(Result result) {
  return result >= InvalidImage && result < 400 && result != EccUncorrectable && result != NvlinkUncorrectable && result != Contained;
}

bool Kernels::load(const VccDeviceImage &image, Owned<Module> &module, Result &result) const {
  char log[4096] = {};
  int options[] = {JitErrorLog, JitErrorLogBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
  Module loaded = nullptr;
  result = Device.api().loadModule(&loaded, image.bytes, 2, options, values);
  if (result == Success)
    module = Owned<Module>(loaded, Device.api().unloadModule);
  else if (image.kind == VCC_IMAGE_PTX && *log)
    Device.fail(result, fmt::format("compile kernels for the {}: {}", Device.name(), log));
  return result == Success;
}

Module Kernels::module(uint64_t number) {
  Owned<Module> &module = Modules.at(number);
  if (module)
    return module.get();
  const VccDeviceModule &forms = Code.modules[number];
  Result result = NoBinaryForGpu;
  for (uint32_t kind : {VCC_IMAGE_CUBIN, VCC_IMAGE_PTX})
    for (uint64_t i = 0; i < forms.image_count; ++i) {
      const VccDeviceImage &image = forms.images[i];
      bool fits = kind == VCC_IMAGE_CUBIN ? int(image.chip) == Device.chip() : int(image.chip) <= Device.chip();
      if (image.kind != kind || !fits)
        continue;
      if (load(image, module, result)) {
        Compiled += kind == VCC_IMAGE_PTX;
        return module.get();
      }
      if (!isOfTheForm(result))
        Device.fail(result, fmt::format("load kernels onto the {}", Device.name()));
    }
  Device.fail(result, fmt::format("load kernels onto the {} (compute capability {}.{})", Device.name(), Device.chip() / 10, Device.chip() % 10));
}

const Kernels::Entry &Kernels::at(uint64_t number) {
  if (number >= Code.kernel_count)
    throw Failure(Exit::Internal, fmt::format("a launch names kernel {}, but the program has {}", number, Code.kernel_count));
  Entry &entry = Entries[number];
  if (entry.kernel)
    return entry;
  const VccDeviceKernel &named = Code.kernels[number];
  Kernel kernel = nullptr;
  if (Result result = Device.api().kernel(&kernel, module(named.module), named.name); result != Success)
    Device.fail(result, fmt::format("find kernel `{}`", named.name));
  entry = {kernel, named.threads};
  return entry;
}

uint64_t Kernels::modulesLoaded() const {
  return uint64_t(std::count_if(Modules.begin(), Modules.end(), [](const auto &module) { return bool(module); }));
}

} // namespace vcc::runtime::cuda
