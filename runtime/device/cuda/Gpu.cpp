// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/Gpu.h"

#include "runtime/device/cpu/Memory.h"
#include "runtime/device/cuda/Faults.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

namespace vcc::runtime::cuda {

/// PTX of ISA 8.0 is what the programs hold.
static constexpr int LeastDriver = 12000, LeastChip = 80;

Gpu::Gpu(const DriverApi &api, int number) : Api(api) {
  check(Api.driverVersion(&DriverVersion), "ask the driver for its version");
  if (DriverVersion < LeastDriver)
    throw Failure(Exit::Machine,
                  fmt::format("the NVIDIA driver is of CUDA {}.{}, but {}.0 is needed at least", DriverVersion / 1000,
                              DriverVersion % 1000 / 10, LeastDriver / 1000),
                  "install a driver of R525 or newer; from R580 on programs need no compiling when they start");
  check(Api.init(0), "start the driver");
  int count = 0;
  check(Api.deviceCount(&count), "count the GPUs");
  if (count < 1)
    fail(NoDevice, "find a GPU");
  if (number >= count && count > 1)
    throw Failure(Exit::Machine, fmt::format("this machine shows {} GPUs, but rank {} of those on it needs one of its own", count, number),
                  "start fewer ranks on it, or let the launcher give each its GPU");
  Ordinal device = 0;
  check(Api.device(&device, count == 1 ? 0 : number), "open the GPU");
  char name[256] = {};
  check(Api.deviceName(name, sizeof name - 1, device), "ask the GPU for its name");
  Name = name;
  int major = 0, minor = 0;
  check(Api.deviceAttribute(&major, ComputeCapabilityMajor, device), "ask the GPU for its compute capability");
  check(Api.deviceAttribute(&minor, ComputeCapabilityMinor, device), "ask the GPU for its compute capability");
  Chip = major * 10 + minor;
  if (Chip < LeastChip)
    throw Failure(Exit::Machine, fmt::format("the {} has compute capability {}.{}, but this program's kernels need 8.0 at least", Name, major, minor),
                  "GPUs from Ampere on (A100, RTX 30, and later) are supported");
  Context context = nullptr;
  check(Api.retainContext(&context, device), "open a context on the GPU");
  Held = Owned<Ordinal>(device, Api.releaseContext);
  check(Api.setContext(context), "use the GPU's context");
  Compute = makeStream(), Copies = makeStream();
}

void Gpu::fail(Result result, const std::string &doing) const { failCall(Api, result, doing); }

/// Every call says so then; this one is allowed while a graph is captured, too.
void Gpu::failIfLost(const std::string &doing) const {
  Memory memory{};
  check(Api.memoryInfo(&memory.left, &memory.total), doing.c_str());
}

Gpu::Memory Gpu::memory() const {
  Memory memory{};
  check(Api.memoryInfo(&memory.left, &memory.total), "ask how much memory the GPU has left");
  return memory;
}

Owned<Address> Gpu::allocate(size_t bytes, const char *what) const {
  Address address = 0;
  if (Result result = Api.allocate(&address, bytes); result != Success)
    fail(result, fmt::format("allocate {} for {}", textOfBytes(bytes), what));
  return {address, Api.free};
}

Owned<void *> Gpu::allocateHost(size_t bytes) const {
  void *pointer = nullptr;
  Result result = Api.allocateHost(&pointer, bytes, 0);
  if (result == OutOfMemory)
    throw Failure(Exit::Memory, fmt::format("this machine cannot pin {} of its memory for copies to the GPU", textOfBytes(bytes)),
                  "other programs, or a limit of the container, may hold what is missing");
  check(result, "pin memory for copies");
  return {pointer, Api.freeHost};
}

Owned<Stream> Gpu::makeStream() const {
  Stream stream = nullptr;
  check(Api.createStream(&stream, StreamNonBlocking), "make a stream");
  return {stream, Api.destroyStream};
}

Owned<Event> Gpu::makeEvent() const {
  Event event = nullptr;
  check(Api.createEvent(&event, EventDisableTiming), "make an event");
  return {event, Api.destroyEvent};
}

Owned<Event> Gpu::makeTimer() const {
  Event event = nullptr;
  check(Api.createEvent(&event, 0), "make an event");
  return {event, Api.destroyEvent};
}

double Gpu::seconds(Event begin, Event end) const {
  float milliseconds = 0;
  check(Api.elapsed(&milliseconds, begin, end), "take a time on the GPU");
  return double(milliseconds) / 1e3;
}

} // namespace vcc::runtime::cuda
