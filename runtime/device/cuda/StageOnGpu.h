// SPDX-License-Identifier: Apache-2.0
//
// One stage of a program on a GPU. A function's first run puts its launches into the stream one by one, which loads kernels and
// libraries; the second captures them as a graph, which every later one replays.
#ifndef VCC_RUNTIME_DEVICE_CUDA_STAGEONGPU_H
#define VCC_RUNTIME_DEVICE_CUDA_STAGEONGPU_H

#include "runtime/device/StageDevice.h"
#include "runtime/device/cuda/Enqueue.h"
#include "runtime/device/cuda/Products.h"
#include "runtime/device/cuda/Transfers.h"

#include <memory>
#include <vector>

namespace vcc::runtime::cuda {

/// Where the libraries come from; a program's are loadDriver and loadProducts.
struct LibraryLoaders {
  std::function<const DriverApi &()> driver;
  std::function<const ProductApi &(const std::string &folder)> products;
};

/// What the stages of a program share on its GPU.
struct Session {
  Session(const VccDeviceCode &code, const LibraryLoaders &loaders) : Loaders(loaders), Device(loaders.driver()), Code(Device, code) {}
  /// Opened by the first stage that multiplies.
  Products &products(const std::string &folder);

  const LibraryLoaders &Loaders;
  Gpu Device;
  Kernels Code;
  std::unique_ptr<Products> Library; // before the GPU goes
};

class StageOnGpu final : public StageDevice {
public:
  StageOnGpu(std::shared_ptr<Session> session, const StagePlace &place);
  ~StageOnGpu() override;

  const StageMemory &memory() const override { return Host; }
  void run(int64_t function) override;
  void finish() override { Moves.finish(); }
  void fetch(VccRegion region, uint64_t offset, uint64_t bytes) override;
  void publish(VccRegion region, uint64_t offset, uint64_t bytes) override;
  bool joinsRanks(int64_t) const override { return false; }
  uint64_t bytes() const override { return Places.bytes(); }
  std::vector<std::string> account() const override;

  [[noreturn]] void run(int64_t function, LaunchTime *times) override;
  [[noreturn]] void walk(int64_t function, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &goesOn) override;
  [[noreturn]] MachineRates rates() override;

private:
  struct Function {
    const VccFunction *table = nullptr;
    std::vector<Span> inputs, outputs;
    std::vector<std::unique_ptr<Enqueued>> launches;
    bool ran = false;
    Owned<GraphExec> graph;
  };
  std::unique_ptr<Enqueued> make(const VccLaunch &launch);
  void enqueue(Function &function);
  void capture(Function &function);

  std::shared_ptr<Session> Shared;
  const VccStage &Stage;
  std::string LibraryFolder;
  StageMemory Host;
  Regions Places;
  Transfers Moves;
  std::vector<Function> Functions;
};

/// Makes stages on the first GPU, which is opened for the first of them.
MakeDevice onGpu(const VccDeviceCode &code, LibraryLoaders loaders);

} // namespace vcc::runtime::cuda
#endif
