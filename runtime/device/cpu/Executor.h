// SPDX-License-Identifier: Apache-2.0
//
// One stage of a program on the CPU: its memory, and its functions as launches made ready at their first run.
#ifndef VCC_RUNTIME_DEVICE_CPU_EXECUTOR_H
#define VCC_RUNTIME_DEVICE_CPU_EXECUTOR_H

#include "runtime/device/StageDevice.h"
#include "runtime/device/cpu/Gemm.h"
#include "runtime/device/cpu/Launch.h"
#include "runtime/device/cpu/Memory.h"

#include <functional>
#include <memory>
#include <vector>

namespace vcc::runtime {

class Executor final : public StageDevice {
public:
  /// `world` is needed where launches join ranks.
  Executor(const VccStage &stage, int threads, World *world = nullptr);

  const StageMemory &memory() const override { return Memory; }
  void run(int64_t function) override;
  bool isHost() const override { return true; }
  void run(int64_t function, LaunchTime *times) override;
  void walk(int64_t function, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &goesOn) override;
  MachineRates rates() override;
  bool joinsRanks(int64_t function) const override;
  void weightsChanged() override { Products.weightsChanged(); }
  uint64_t packedBytes() const override { return Products.packedBytes(); }

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
