// SPDX-License-Identifier: Apache-2.0
//
// One stage of a program on a GPU. A function's first run puts its launches into the stream one by one, which loads kernels and
// libraries; the second captures them as a graph, which every later one replays.
#ifndef VCC_RUNTIME_DEVICE_CUDA_STAGEONGPU_H
#define VCC_RUNTIME_DEVICE_CUDA_STAGEONGPU_H

#include "runtime/device/StageDevice.h"
#include "runtime/device/cuda/Attentions.h"
#include "runtime/device/cuda/Enqueue.h"
#include "runtime/device/cuda/GradientSums.h"
#include "runtime/device/cuda/Products.h"
#include "runtime/device/cuda/Transfers.h"

#include <memory>
#include <vector>

namespace vcc::runtime::cuda {

/// Where the libraries come from; a program's are those of Libraries.h. Of several GPUs one is taken by its number.
struct LibraryLoaders {
  std::function<const DriverApi &()> driver;
  std::function<const ProductApi &(const std::string &folder)> products;
  std::function<const CollectiveApi &(const std::string &folder)> collectives;
  int number = 0;
  std::function<const AttentionApi &(const std::string &folder)> attention = {};
};

/// What the stages of a program share on its GPU.
struct Session {
  Session(const VccDeviceCode &code, const LibraryLoaders &loaders) : Loaders(loaders), Device(loaders.driver(), loaders.number), Code(Device, code) {}
  /// Opened by the first stage that multiplies.
  Products &products(const std::string &folder);
  /// By the first stage that ranks run; null where none were started.
  GpuRanks *ranks(const StagePlace &place);
  /// By the first stage with attention that is a call, when it is made.
  Attentions &attentions(const std::string &folder);

  const LibraryLoaders &Loaders;
  Gpu Device;
  Kernels Code;
  std::unique_ptr<Products> Library; // before the GPU goes
  std::unique_ptr<GpuRanks> Joined;  // likewise
  std::unique_ptr<Attentions> Attention;
};

class StageOnGpu final : public StageDevice {
public:
  StageOnGpu(std::shared_ptr<Session> session, const StagePlace &place);
  ~StageOnGpu() override;

  const StageMemory &memory() const override { return Host; }
  void run(int64_t function) override { run(function, nullptr); }
  void finish() override;
  bool sumsGradients() const override { return Sums != nullptr; }
  void sumAfterNext() override { SumsNext = Sums != nullptr; }
  void fetch(VccRegion region, uint64_t offset, uint64_t bytes) override;
  void publish(VccRegion region, uint64_t offset, uint64_t bytes) override;
  bool joinsRanks(int64_t function) const override;
  uint64_t bytes() const override { return Places.bytes(); }
  std::vector<std::string> account() const override;

  void run(int64_t function, LaunchTime *times) override;
  std::string kernelName(const VccLaunch &launch) const override;
  [[noreturn]] void walk(int64_t function, const std::function<bool(const VccLaunch &, uint64_t, uint64_t)> &goesOn) override;
  MachineRates rates() override;

private:
  struct Function {
    const VccFunction *table = nullptr;
    std::vector<Span> inputs, outputs;
    std::vector<std::unique_ptr<Enqueued>> launches;
    /// Without and with sums over ranks; without and with times taken.
    struct Form {
      bool ran = false;
      Owned<GraphExec> graph;
    } forms[2][2];
    std::vector<Owned<Event>> timers; // before the first launch, and behind each
  };
  std::unique_ptr<Enqueued> make(const VccLaunch &launch);
  void prepare(Function &function);
  struct Manner {
    bool sums, timed, captured;
  };
  void enqueue(Function &function, const Manner &manner);
  Owned<GraphExec> capture(Function &function, Manner manner);
  void readTimes(const Function &function, LaunchTime *times) const;

  std::shared_ptr<Session> Shared;
  const VccStage &Stage;
  std::string LibraryFolder, Precision;
  ProductWay Way;
  StageMemory Host;
  Regions Places;
  Transfers Moves;
  std::vector<Function> Functions;
  GpuRanks *Ranks;
  std::unique_ptr<GradientSums> Sums;
  bool SumsNext = false;
};

/// Makes stages on the first GPU, which is opened for the first of them.
MakeDevice onGpu(const VccDeviceCode &code, LibraryLoaders loaders);

} // namespace vcc::runtime::cuda
#endif
