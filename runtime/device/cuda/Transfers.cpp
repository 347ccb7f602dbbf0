// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/Transfers.h"

#include <algorithm>
#include <cstring>

namespace vcc::runtime::cuda {

std::vector<Span> spansOf(const std::vector<manifest::Port> &ports) {
  constexpr uint64_t Gap = 64; // buffers are aligned to as much
  std::vector<Span> spans;
  for (const manifest::Port &port : ports)
    if (port.bytes() > 0)
      spans.push_back({uint64_t(port.offset), uint64_t(port.offset + port.bytes())});
  std::sort(spans.begin(), spans.end(), [](const Span &a, const Span &b) { return a.begin < b.begin; });
  std::vector<Span> joined;
  for (const Span &span : spans)
    if (!joined.empty() && span.begin < joined.back().end + Gap)
      joined.back().end = std::max(joined.back().end, span.end);
    else
      joined.push_back(span);
  return joined;
}

Transfers::Slot Transfers::makeSlot(uint64_t bytes) const { return {Device.allocateHost(std::max<uint64_t>(bytes, 64)), Device.makeEvent()}; }

Transfers::Transfers(const Gpu &gpu, const Regions &regions, const StageMemory &host, uint64_t outputBytes)
    : Device(gpu), Places(regions), Host(host), OutputBytes(outputBytes) {
  uint64_t bytes = regions.size(VCC_REGION_IO);
  for (Slot &slot : Inputs)
    slot = makeSlot(bytes);
  Taken = gpu.makeEvent();
}

void Transfers::give(const std::vector<Span> &inputs) {
  if (inputs.empty())
    return;
  const DriverApi &api = Device.api();
  Slot &slot = Inputs[Turn], &before = Inputs[1 - Turn];
  Turn = 1 - Turn;
  if (slot.used)
    Device.check(api.synchronizeEvent(slot.done.get()), "copy a batch to the GPU");
  for (const Span &span : inputs)
    std::memcpy(slot.at(span.begin), Host.at(VCC_REGION_IO, span.begin), span.bytes());
  if (before.used)
    Device.check(api.waitEvent(Device.copies(), Taken.get(), 0), "order copies to the GPU");
  for (const Span &span : inputs)
    Device.check(api.copyToDevice(Places.waiting() + span.begin, slot.at(span.begin), span.bytes(), Device.copies()), "copy a batch to the GPU");
  Device.check(api.recordEvent(slot.done.get(), Device.copies()), "mark a copy to the GPU");
  slot.used = true;
  Device.check(api.waitEvent(Device.compute(), slot.done.get(), 0), "order copies to the GPU");
  for (const Span &span : inputs)
    Device.check(api.copyOnDevice(Places.at(VCC_REGION_IO, span.begin), Places.waiting() + span.begin, span.bytes(), Device.compute()),
                 "copy on the GPU");
  Device.check(api.recordEvent(Taken.get(), Device.compute()), "mark a copy on the GPU");
}

void Transfers::take(const std::vector<Span> &outputs) {
  const DriverApi &api = Device.api();
  if (Free.empty())
    Free.push_back(makeSlot(OutputBytes));
  // Kept here before anything is on its way into it: what throws must not free it.
  Underway.push_back({std::move(Free.back()), &outputs});
  Free.pop_back();
  const Slot &slot = Underway.back().slot;
  uint64_t at = 0;
  for (const Span &span : outputs) {
    Device.check(api.copyToHost(slot.at(at), Places.at(VCC_REGION_IO, span.begin), span.bytes(), Device.compute()), "copy results from the GPU");
    at += span.bytes();
  }
  Device.check(api.recordEvent(slot.done.get(), Device.compute()), "mark the end of a run");
}

void Transfers::finish() {
  if (Underway.empty())
    return;
  Coming &coming = Underway.front();
  Device.check(Device.api().synchronizeEvent(coming.slot.done.get()), "compute on the GPU");
  uint64_t at = 0;
  for (const Span &span : *coming.spans) {
    std::memcpy(Host.at(VCC_REGION_IO, span.begin), coming.slot.at(at), span.bytes());
    at += span.bytes();
  }
  Free.push_back(std::move(coming.slot));
  Underway.pop_front();
}

} // namespace vcc::runtime::cuda
