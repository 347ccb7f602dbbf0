// SPDX-License-Identifier: Apache-2.0
//
// A driver, a cuBLASLt and an NCCL that take down what they are asked and do it in the host's memory: tables as a program gets them from
// NVIDIA's libraries. Streams hold their work back until somebody waits for it, or do it at once, so that an order that
// is not asked for by events shows in the results. Any call can be made to fail.
#ifndef VCC_TESTS_RUNTIME_CUDA_FAKEGPU_H
#define VCC_TESTS_RUNTIME_CUDA_FAKEGPU_H

#include "runtime/collectives/nccl/CollectiveApi.h"
#include "runtime/device/cuda/ProductApi.h"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace vcc::runtime::cuda {

/// A kernel: how many words its arguments are, and what it does with them.
struct FakeKernel {
  size_t words;
  std::function<void(const uint64_t *, unsigned blocks, unsigned threads)> run;
};

/// An algorithm that the library proposes: what it says that it needs, and how long a product takes by it.
struct FakeAlgorithm {
  size_t workspace = 0;
  double milliseconds = 1;
  ProductResult state = ProductSuccess, multiplies = ProductSuccess;
};

/// What was asked of a product when it was enqueued.
struct FakeProduct {
  ElementKind a, b, c, d, scale;
  ComputeKind compute;
  uint32_t epilogue;
  int biasType; // -1: not said
  float beta;
  uint64_t algorithm;
  size_t workspace;
  friend bool operator==(const FakeProduct &, const FakeProduct &) = default;
};

class FakeGpu {
public:
  FakeGpu();
  ~FakeGpu();
  FakeGpu(const FakeGpu &) = delete;

  const DriverApi &driver() const { return Driver; }
  const ProductApi &products() const { return Library; }
  const CollectiveApi &collectives() const { return Joiner; }
  /// What every rank holds where this one holds `bytes`, in the order of ranks. Where this is not set, all hold the same.
  std::function<std::vector<std::string>(const void *mine, size_t bytes)> exchange;
  std::function<void(const CollectiveId &id, int ranks, int rank)> meet; // what else happens when ranks are joined

  // What it is.
  std::string name = "Fake GPU";
  int version = 13000, count = 1, major = 9, minor = 0;
  size_t memory = size_t(1) << 30;
  Result cubins = Success;         // what loading a cubin says
  std::function<Result(const char *image, char *log, size_t logBytes)> load; // what else happens when a module is loaded
  // Of the first stream that is made, the second, the third: work is done at once. In a captured graph the third's says whether what
  // other streams gave is done as early as may be, or as late.
  bool eager[3] = {false, false, false};
  int collectiveVersion = 22809;
  std::map<std::string, FakeKernel> kernels;
  std::vector<FakeAlgorithm> algorithms = {{}}; // as the library orders them

  // The call (counted from 0) that fails, and whether all that follow do, as after a fault on a GPU.
  int64_t failAt = -1;
  Result failWith = Unknown;
  bool stays = false;

  // What was asked: the calls' names in order, the number of those that were made, and what has not been given back.
  std::vector<std::string> calls;
  int opened = -1;    // the number of the GPU
  std::string failed; // the call that was made to fail
  std::vector<FakeProduct> asked;
  std::vector<uint64_t> wished; // bytes of workspace
  std::map<WishAttribute, uint32_t> aligned; // as was said last
  std::vector<std::vector<std::pair<Address, size_t>>> summed; // over ranks, floats: of each group of calls
  bool hangs = false; // NCCL was to end while a graph held calls of its own, for which it waits
  std::vector<bool> idle; // of every wait for an event: whether its stream then had nothing more to do
  int64_t left() const { return Live; }
  size_t bytes() const { return Used; }
  const std::map<uint64_t, size_t> &blocks() const { return Blocks; } ///< what is allocated, and its bytes
  int64_t countOf(const std::string &call) const;

  // For the stubs.
  static FakeGpu *Now;
  Result enter(const char *call);
  /// Gives a stream something to do.
  Result put(Stream stream, std::function<void()> act, double milliseconds = 1);
#define VCC_FAKE_CALL(MEMBER, SYMBOL, PARAMETERS) Result MEMBER PARAMETERS;
  VCC_DRIVER_CALLS(VCC_FAKE_CALL)
#undef VCC_FAKE_CALL
#define VCC_FAKE_PRODUCT(MEMBER, SYMBOL, PARAMETERS) ProductResult product_##MEMBER PARAMETERS;
  VCC_PRODUCT_CALLS(VCC_FAKE_PRODUCT)
#undef VCC_FAKE_PRODUCT
#define VCC_FAKE_COLLECTIVE(MEMBER, SYMBOL, PARAMETERS) CollectiveResult collective_##MEMBER PARAMETERS;
  VCC_COLLECTIVE_CALLS(VCC_FAKE_COLLECTIVE)
#undef VCC_FAKE_COLLECTIVE

private:
  struct Done { // a place in a stream, or in a graph that is being captured
    uint64_t stream = 0;
    size_t count = 0;
    uint64_t captured = 0; // the stream whose capture it is in
    std::vector<size_t> nodes = {};
    double time = -1; // by a clock that a graph's replay set
  };
  struct Node {
    std::function<void()> act;
    double milliseconds;
    uint64_t stream;
    std::vector<size_t> after;
    uint64_t timer = 0; // an event that is set here
  };
  struct Captured {
    uint64_t origin = 0;
    std::vector<Node> nodes;
    bool joins = false; // holds calls of NCCL
  };
  struct Work {
    std::function<void()> act;
    Done after; // of another stream
    double milliseconds = 0;
  };
  struct Line {
    std::vector<Work> work;
    size_t done = 0;
    bool eager = false, capturing = false;
    std::vector<size_t> last; // of the nodes captured, those that the next one comes after
  };
  CollectiveResult join(Stream stream, std::function<void()> act);
  CollectiveResult end();
  void replay(const Captured &graph, bool early, Done at, double clock);
  double timeOf(const Done &done);
  void advance(uint64_t stream, size_t count);
  template <typename T> T handle() {
    ++Live;
    return reinterpret_cast<T>(Next++ << 8);
  }
  Result drop(bool known);
  std::vector<std::string> held(const void *mine, size_t bytes) const;

  DriverApi Driver;
  ProductApi Library;
  CollectiveApi Joiner;
  int Ranks = 0, Rank = 0;
  bool Grouped = false;
  std::map<uint64_t, Line> Lines;
  std::map<uint64_t, Done> Events;
  std::set<uint64_t> Timed;
  std::map<uint64_t, size_t> Blocks, Pinned;
  Captured Capturing;
  std::map<uint64_t, Captured> Graphs, Execs;
  std::map<uint64_t, const FakeKernel *> Found;
  uint64_t Next = 1;
  int64_t Live = 0;
  size_t Used = 0;
};

} // namespace vcc::runtime::cuda
#endif
