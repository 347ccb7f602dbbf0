// SPDX-License-Identifier: Apache-2.0
//
// The entry point of a recipe compiled for a GPU. Nothing of oneDNN is linked into such a program.
#include "runtime/device/cuda/Libraries.h"
#include "runtime/device/cuda/StageOnGpu.h"
#include "runtime/loop/Main.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

namespace vcc::runtime {

/// Ranks would each train alone.
static std::unique_ptr<World> makeOneRank() {
  if (int ranks = launchedRanks().size; ranks > 1)
    throw Failure(Exit::Usage, fmt::format("{} ranks were started, but programs for a GPU run as one so far", ranks), "start it without a launcher");
  return makeSingleWorld();
}

} // namespace vcc::runtime

int vcc_main_cuda(int argc, char **argv, const VccProgram *program) {
  using namespace vcc::runtime;
  return runMain(argc, argv, *program, makeOneRank, cuda::onGpu(vcc_device_code, {cuda::loadDriver, cuda::loadProducts}));
}
