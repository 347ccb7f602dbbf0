// SPDX-License-Identifier: Apache-2.0
//
// Matrix products through oneDNN: one primitive per launch, made when the program is loaded; bias, addend, accumulation
// and activation in its epilogue; a frozen right-hand side packed once into the layout that the library prefers.
#ifndef VCC_RUNTIME_DEVICE_CPU_GEMM_H
#define VCC_RUNTIME_DEVICE_CPU_GEMM_H

#include "runtime/device/cpu/Launch.h"

#include <memory>

namespace vcc::runtime {

/// What the products of a stage share: the library's engine, scratch memory and packed weights.
class Gemms {
public:
  explicit Gemms(const StageMemory &memory);
  ~Gemms();
  std::unique_ptr<Launch> make(const VccLaunch &launch);
  /// Bytes of packed copies of frozen weights.
  uint64_t packedBytes() const;
  /// Forgets packed copies after the weights region was written; they are made again at the next run.
  void weightsChanged();

  struct Shared;

private:
  std::unique_ptr<Shared> State;
};

} // namespace vcc::runtime
#endif
