// SPDX-License-Identifier: Apache-2.0
//
// One stage of the program by the manifest's names: its functions' inputs and outputs, its states, and the walk of its
// launches. Nothing here knows what a stage computes.
#ifndef VCC_RUNTIME_LOOP_STAGEPROGRAM_H
#define VCC_RUNTIME_LOOP_STAGEPROGRAM_H

#include "runtime/device/StageDevice.h"
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
  StageProgram(const StagePlace &place, const MakeDevice &make);

  const manifest::Stage &stage() const { return Stage; }
  StageDevice &device() { return *Device; }
  const StageMemory &memory() const { return Device->memory(); }

  /// Runs a function while none is underway; returns when its outputs lie in the io region.
  void run(const manifest::Function &function, const StepInputs &inputs) { begin(function, inputs), finish(); }
  /// Begins a run; each finish() waits for the oldest that was begun, and its outputs lie in the io region until the next one.
  void begin(const manifest::Function &function, const StepInputs &inputs);
  void finish() { Device->finish(); }
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

  // What the device has, brought to the host's memory.
  void fetchFrozen();
  /// Trained weights, moments and counters.
  void fetchTrained();
  void fetchWeights() { fetchFrozen(), fetchTrained(); }
  /// What the recipe's initialisers wrote; all else is still zero on both sides.
  void fetchInitialised();
  /// The gradients of all weights that have one.
  void fetchGradients();
  /// To be called after weights or moments were written in the host's memory, which then holds nothing to be read, or published again,
  /// that was not fetched since.
  void publishWeights();

private:
  void write(const manifest::Port &port, const StepInputs &inputs);
  /// The places of the states that are of these kinds, but for frozen weights.
  template <typename F>
  void forState(std::initializer_list<manifest::State::Kind> kinds, F &&act) const;
  /// Brings matrices that launches have transposed from the recipe's order to the launches', or back, in the host's memory.
  void turnWeights(bool back) const;
  const manifest::Stage &Stage;
  std::unique_ptr<StageDevice> Device;
  int Threads;
  FunctionObserver *Observer = nullptr;
};

} // namespace vcc::runtime
#endif
