// SPDX-License-Identifier: Apache-2.0
//
// One stage of the program by the manifest's names: its functions' inputs and outputs, its states, and the walk of its
// launches. Nothing here knows what a stage computes.
#ifndef VCC_RUNTIME_LOOP_STAGEPROGRAM_H
#define VCC_RUNTIME_LOOP_STAGEPROGRAM_H

#include "runtime/device/cpu/Executor.h"
#include "runtime/loop/BatchSource.h"
#include "runtime/program/Manifest.h"

#include <map>
#include <string>
#include <vector>

namespace vcc::runtime {

/// What the runtime itself tells a function; each value is written where the function has such an input.
struct StepInputs {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t firstSample = 0;
  double totalSteps = 1, stepsPerEpoch = 1;
  int rank = 0;
};

struct Scalar {
  std::string name;
  double value = 0;
};

/// Whether an output is the loss or a term of it.
inline bool isLoss(const std::string &name) { return name == "loss" || name.rfind("loss.", 0) == 0; }

/// Told of every run of a function, when one is set.
class FunctionObserver {
public:
  virtual ~FunctionObserver() = default;
  /// Room for the times of the function's launches; null where this run is of no interest.
  virtual LaunchTime *begins(const manifest::Function &function) = 0;
  virtual void ended(const manifest::Function &function) = 0;
};

class StageProgram {
public:
  /// Throws Failure(Exit::Internal) where manifest and table disagree.
  StageProgram(const VccStage &table, const manifest::Stage &stage, int threads, World *world = nullptr);

  const manifest::Stage &stage() const { return Stage; }
  Executor &executor() { return Device; }
  const StageMemory &memory() const { return Device.memory(); }

  void run(const manifest::Function &function, const StepInputs &inputs);
  void observe(FunctionObserver *observer) { Observer = observer; }

  /// Whether the runtime itself writes an input of this name.
  static bool isSystemInput(const std::string &name);
  /// The inputs that the data path writes, where they lie in the io region.
  HostTensors dataInputs(const manifest::Function &function) const;
  /// The scalar outputs of a function, in its order.
  std::vector<Scalar> scalars(const manifest::Function &function) const;
  const manifest::Port *output(const manifest::Function &function, const std::string &name) const;

  std::byte *at(const manifest::State &state) const {
    return memory().at(state.place.region, uint64_t(state.place.offset));
  }
  std::byte *at(const manifest::Port &port) const {
    return memory().at(VCC_REGION_IO, uint64_t(port.offset));
  }
  /// The gradient of a weight, null where it has none.
  std::byte *gradientOf(const manifest::State &state) const;

private:
  void write(const manifest::Port &port, const StepInputs &inputs);
  const manifest::Stage &Stage;
  Executor Device;
  FunctionObserver *Observer = nullptr;
};

} // namespace vcc::runtime
#endif
