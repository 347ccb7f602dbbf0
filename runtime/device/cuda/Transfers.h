// SPDX-License-Identifier: Apache-2.0
//
// What goes to a function and comes from it. Inputs travel from the host's io region through one of two pinned buffers to a place
// beside io, on the stream of copies, so that a batch is on its way while the run before it computes; from there they are taken
// into io in the order of computations. Outputs come back through pinned memory behind the run that made them.
#ifndef VCC_RUNTIME_DEVICE_CUDA_TRANSFERS_H
#define VCC_RUNTIME_DEVICE_CUDA_TRANSFERS_H

#include "runtime/device/cpu/Memory.h"
#include "runtime/device/cuda/Gpu.h"
#include "runtime/device/cuda/Regions.h"
#include "runtime/program/Manifest.h"

#include <deque>
#include <vector>

namespace vcc::runtime::cuda {

/// A part of the io region.
struct Span {
  uint64_t begin, end;
  uint64_t bytes() const { return end - begin; }
  friend bool operator==(const Span &, const Span &) = default;
};

/// The bytes of ports, neighbours (apart by no more than what alignment leaves between them) joined.
std::vector<Span> spansOf(const std::vector<manifest::Port> &ports);

class Transfers {
public:
  /// `outputBytes`: the most that a run gives.
  Transfers(const Gpu &gpu, const Regions &regions, const StageMemory &host, uint64_t outputBytes);

  /// Before a run: what the host's io region holds of these parts. May be written anew when this returns.
  void give(const std::vector<Span> &inputs);
  /// After a run. `outputs` must outlive it.
  void take(const std::vector<Span> &outputs);
  /// Waits for the oldest outputs that are on their way, if there are any, and puts them into the host's io region.
  void finish();

private:
  struct Slot {
    Owned<void *> memory;
    Owned<Event> done;
    bool used = false;
    std::byte *at(uint64_t offset) const { return static_cast<std::byte *>(memory.get()) + offset; }
  };
  Slot makeSlot(uint64_t bytes) const;

  const Gpu &Device;
  const Regions &Places;
  const StageMemory &Host;
  struct Coming {
    Slot slot; // the spans one after the other
    const std::vector<Span> *spans;
  };
  Slot Inputs[2];
  int Turn = 0;
  Owned<Event> Taken; // what waited beside io lies in io
  uint64_t OutputBytes;
  std::deque<Coming> Underway;
  std::vector<Slot> Free;
};

} // namespace vcc::runtime::cuda
#endif
