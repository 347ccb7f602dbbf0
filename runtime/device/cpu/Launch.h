// SPDX-License-Identifier: Apache-2.0
//
// A launch of the program's table, made ready once (addresses resolved, library primitives created) and run every step.
#ifndef VCC_RUNTIME_DEVICE_CPU_LAUNCH_H
#define VCC_RUNTIME_DEVICE_CPU_LAUNCH_H

#include "runtime/device/LaunchFaults.h"
#include "runtime/device/cpu/Memory.h"
#include "runtime/program/Abi.h"

#include <memory>
#include <string>

namespace vcc::runtime {

class Gemms;
class World;

class Launch {
public:
  virtual ~Launch() = default;
  virtual void run() = 0;
};

std::unique_ptr<Launch> makeKernel(const VccLaunch &launch, const StageMemory &memory, int threads);
std::unique_ptr<Launch> makeAttention(const VccLaunch &launch, const StageMemory &memory,
                                      int threads);
std::unique_ptr<Launch> makeAttentionGrad(const VccLaunch &launch, const StageMemory &memory,
                                          int threads);
std::unique_ptr<Launch> makeMove(const VccLaunch &launch, const StageMemory &memory, int threads);
/// `world` is null where the caller runs alone.
std::unique_ptr<Launch> makeBetweenRanks(const VccLaunch &launch, const StageMemory &memory, World *world);

} // namespace vcc::runtime
#endif
