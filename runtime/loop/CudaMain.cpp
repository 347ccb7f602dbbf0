// SPDX-License-Identifier: Apache-2.0
//
// The entry point of a recipe compiled for a GPU. Nothing of oneDNN is linked into such a program.
#include "runtime/collectives/tcp/Tcp.h"
#include "runtime/device/cuda/Libraries.h"
#include "runtime/device/cuda/StageOnGpu.h"
#include "runtime/loop/Main.h"
int vcc_main_cuda(int argc, char **argv, const VccProgram *program) {
  using namespace vcc::runtime;
  return runMain(argc, argv, *program, makeLaunchedWorld,
                 cuda::onGpu(vcc_device_code, {cuda::loadDriver, cuda::loadProducts, cuda::loadCollectives, launchedRanks().local, cuda::loadAttention}));
}
