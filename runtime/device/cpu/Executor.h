// SPDX-License-Identifier: Apache-2.0
//
// One stage of a program on the CPU: its memory, and its functions as launches made ready at their first run.
#ifndef VCC_RUNTIME_DEVICE_CPU_EXECUTOR_H
#define VCC_RUNTIME_DEVICE_CPU_EXECUTOR_H

#include "runtime/device/cpu/Gemm.h"
#include "runtime/device/cpu/Launch.h"
#include "runtime/device/cpu/Memory.h"

#include <functional>
#include <memory>
#include <vector>

namespace vcc::runtime {

/// When a launch began and ended, in nanoseconds of the steady clock.
struct LaunchTime {
  int64_t begin, end;
};

class Executor {
public:
  /// `world` is needed where launches join ranks.
  Executor(const VccStage &stage, int threads, World *world = nullptr);

  const StageMemory &memory() const { return Memory; }
  /// Walks the launches of a function, given by its index in the stage.
  void run(int64_t function);
  /// The same, with the times of its launches; there must be room for all of them.
  void run(int64_t function, LaunchTime *times);
  /// The same, asking after each launch whether to go on: the launch, its number and how many there are.
  void walk(int64_t function, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &goesOn);
  /// Whether it has launches between ranks, so that all ranks must walk it together and to its end.
  bool joinsRanks(int64_t function) const;
  /// To be called after frozen weights were written.
  void weightsChanged() { Products.weightsChanged(); }
  uint64_t packedBytes() const { return Products.packedBytes(); }

private:
  std::vector<std::unique_ptr<Launch>> &ready(int64_t function);
  std::unique_ptr<Launch> make(const VccLaunch &launch);

  const VccStage &Stage;
  int Threads;
  World *Joined;
  StageMemory Memory;
  Gemms Products;
  std::vector<std::vector<std::unique_ptr<Launch>>> Functions;
};

} // namespace vcc::runtime
#endif
