// SPDX-License-Identifier: Apache-2.0
//
// One GPU, opened: its primary context, a stream to compute and one to copy, and what is made on it. Every call of the driver goes
// through check(), so that a fault is a Failure with a sentence; what is made is owned, so that nothing is left when one is thrown.
#ifndef VCC_RUNTIME_DEVICE_CUDA_GPU_H
#define VCC_RUNTIME_DEVICE_CUDA_GPU_H

#include "runtime/device/cuda/DriverApi.h"

#include <string>
#include <utility>

namespace vcc::runtime::cuda {

/// A handle and the call that gives it back. What that call returns is not looked at: after a fault on the GPU it is that fault again.
template <typename T>
class Owned {
public:
  Owned() = default;
  Owned(T value, Result (*drop)(T)) : Value(value), Drop(drop) {}
  Owned(Owned &&other) noexcept : Value(other.Value), Drop(std::exchange(other.Drop, nullptr)) {}
  Owned &operator=(Owned &&other) noexcept {
    std::swap(Value, other.Value), std::swap(Drop, other.Drop);
    return *this;
  }
  ~Owned() {
    if (Drop)
      Drop(Value);
  }
  T get() const { return Value; }
  explicit operator bool() const { return Drop; }

private:
  T Value{};
  Result (*Drop)(T) = nullptr;
};

class Gpu {
public:
  /// Of the GPUs that the driver shows (CUDA_VISIBLE_DEVICES chooses) that of this number; a launcher may show each rank its own alone.
  /// Throws Failure(Exit::Machine) where the driver is too old or there is none that can run the program's kernels.
  explicit Gpu(const DriverApi &api, int number = 0);
  Gpu(const Gpu &) = delete;
  Gpu &operator=(const Gpu &) = delete;

  void check(Result result, const char *doing) const {
    if (result != Success)
      fail(result, doing);
  }
  [[noreturn]] void fail(Result result, const std::string &doing) const;
  /// A library that cannot do what it was asked may have met a fault of the GPU that came before: then that is told.
  void failIfLost(const std::string &doing) const;

  const DriverApi &api() const { return Api; }
  const std::string &name() const { return Name; }
  int chip() const { return Chip; }                   ///< 90 for sm_90
  int driverVersion() const { return DriverVersion; } ///< 13000 for CUDA 13.0
  Stream compute() const { return Compute.get(); }
  Stream copies() const { return Copies.get(); }

  struct Memory {
    size_t left, total;
  };
  Memory memory() const;

  Owned<Address> allocate(size_t bytes, const char *what) const;
  /// Pinned memory of the host.
  Owned<void *> allocateHost(size_t bytes) const;
  Owned<Stream> makeStream() const;
  Owned<Event> makeEvent() const;
  /// One whose time is taken.
  Owned<Event> makeTimer() const;
  /// Seconds between two of these, which lie behind.
  double seconds(Event begin, Event end) const;

private:
  const DriverApi &Api;
  std::string Name;
  int Chip = 0, DriverVersion = 0;
  Owned<Ordinal> Held; // the primary context; first, so that it is given back last
  Owned<Stream> Compute, Copies;
};

} // namespace vcc::runtime::cuda
#endif
