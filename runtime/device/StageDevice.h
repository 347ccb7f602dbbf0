// SPDX-License-Identifier: Apache-2.0
//
// One stage of a program on whatever computes it: what the stage loop knows of a device. The loop reads and writes the host's
// memory; on the CPU the launches work on that very memory, a device of its own has a copy that `fetch` and `publish` keep.
#ifndef VCC_RUNTIME_DEVICE_STAGEDEVICE_H
#define VCC_RUNTIME_DEVICE_STAGEDEVICE_H

#include "runtime/device/Rates.h"
#include "runtime/device/cpu/Memory.h"
#include "runtime/program/Manifest.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vcc::runtime {

class World;

/// When a launch began and ended, in nanoseconds of the steady clock.
struct LaunchTime {
  int64_t begin, end;
};

class StageDevice {
public:
  virtual ~StageDevice() = default;

  /// The regions in the host's memory.
  virtual const StageMemory &memory() const = 0;
  /// Runs a function, given by its index in the stage, with the inputs that lie in the host's io region, which may be written
  /// anew when this returns. A device of its own only begins; each finish() then waits for the oldest run that is not finished
  /// and puts its outputs into the host's io region.
  virtual void run(int64_t function) = 0;
  virtual void finish() {}
  /// Whether the device itself adds the gradients of all ranks: then it is told by the next one before each run that is a step's last
  /// micro-batch.
  virtual bool sumsGradients() const { return false; }
  virtual void sumAfterNext() {}
  /// Brings a part of a region from the device to the host's memory, and back. A device of its own need not keep in the host's memory
  /// what was published: who wants to read it fetches it.
  virtual void fetch(VccRegion, uint64_t /*offset*/, uint64_t /*bytes*/) {}
  virtual void publish(VccRegion, uint64_t /*offset*/, uint64_t /*bytes*/) {}

  /// Whether launches work on the host's memory itself. Only then can they be walked one by one, and all that they make be looked at
  /// after each.
  virtual bool isHost() const { return false; }
  /// run() with the times of its launches, all of which are over when it returns; there must be room for all of them.
  virtual void run(int64_t function, LaunchTime *times) = 0;
  /// What a generated kernel is called that the program's table does not name; empty where it does.
  virtual std::string kernelName(const VccLaunch &) const { return {}; }
  /// run(), asking after each launch whether to go on: the launch, its number and how many there are.
  virtual void walk(int64_t function, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &goesOn) = 0;
  /// What this device can do.
  virtual MachineRates rates() = 0;

  /// Whether a function has launches between ranks, so that all ranks must walk it together and to its end.
  virtual bool joinsRanks(int64_t function) const = 0;
  /// To be called after frozen weights were written.
  virtual void weightsChanged() {}
  /// Bytes of packed copies of frozen weights.
  virtual uint64_t packedBytes() const { return 0; }
  /// Bytes of the regions where the launches work.
  virtual uint64_t bytes() const { return memory().total(); }
  /// What there is to say about the device when a stage starts.
  virtual std::vector<std::string> account() const { return {}; }
};

/// What a device is made for.
struct StagePlace {
  const VccStage &table;
  const manifest::Stage &stage;
  int threads = 1;
  World *world = nullptr; ///< needed where launches join ranks
  std::string libraries;  ///< the folder of NVIDIA's libraries, where the user names one
  bool measureProducts = false; ///< whether ways of the library are timed
};
using MakeDevice = std::function<std::unique_ptr<StageDevice>(const StagePlace &)>;

std::unique_ptr<StageDevice> makeCpuDevice(const StagePlace &place);

} // namespace vcc::runtime
#endif
