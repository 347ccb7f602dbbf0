// SPDX-License-Identifier: Apache-2.0
//
// A driver and a cuBLASLt that take down what they are asked and do it in the host's memory: tables as a program gets them from
// NVIDIA's libraries. Streams hold their work back until somebody waits for it, or do it at once, so that an order that
// is not asked for by events shows in the results. Any call can be made to fail.
#ifndef VCC_TESTS_RUNTIME_CUDA_FAKEGPU_H
#define VCC_TESTS_RUNTIME_CUDA_FAKEGPU_H

#include "runtime/device/cuda/ProductApi.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vcc::runtime::cuda {

/// A kernel: how many words its arguments are, and what it does with them.
struct FakeKernel {
  size_t words;
  std::function<void(const uint64_t *)> run;
};

class FakeGpu {
public:
  FakeGpu();
  ~FakeGpu();
  FakeGpu(const FakeGpu &) = delete;

  const DriverApi &driver() const { return Driver; }
  const ProductApi &products() const { return Library; }

  // What it is.
  int version = 13000, count = 1, major = 9, minor = 0;
  size_t memory = size_t(1) << 30;
  Result cubins = Success;         // what loading a cubin says
  bool eager[2] = {false, false};  // of the first stream that is made and the second: work is done at once
  std::map<std::string, FakeKernel> kernels;

  // The call (counted from 0) that fails, and whether all that follow do, as after a fault on a GPU.
  int64_t failAt = -1;
  Result failWith = Unknown;
  bool stays = false;

  // What was asked: the calls' names in order, the number of those that were made, and what has not been given back.
  std::vector<std::string> calls;
  std::string failed; // the call that was made to fail
  std::vector<bool> idle; // of every wait for an event: whether its stream then had nothing more to do
  int64_t left() const { return Live; }
  size_t bytes() const { return Used; }
  int64_t countOf(const std::string &call) const;

  // For the stubs.
  static FakeGpu *Now;
  Result enter(const char *call);
#define VCC_FAKE_CALL(MEMBER, SYMBOL, PARAMETERS) Result MEMBER PARAMETERS;
  VCC_DRIVER_CALLS(VCC_FAKE_CALL)
#undef VCC_FAKE_CALL
#define VCC_FAKE_PRODUCT(MEMBER, SYMBOL, PARAMETERS) ProductResult product_##MEMBER PARAMETERS;
  VCC_PRODUCT_CALLS(VCC_FAKE_PRODUCT)
#undef VCC_FAKE_PRODUCT

private:
  struct Done { // a place in a stream
    uint64_t stream = 0;
    size_t count = 0;
  };
  struct Work {
    std::function<void()> act;
    Done after; // of another stream
  };
  struct Line {
    std::vector<Work> work;
    size_t done = 0;
    bool eager = false, capturing = false;
    std::vector<std::function<void()>> captured;
  };
  Result put(Stream stream, std::function<void()> act);
  void advance(uint64_t stream, size_t count);
  template <typename T> T handle() {
    ++Live;
    return reinterpret_cast<T>(Next++ << 8);
  }
  Result drop(bool known);

  DriverApi Driver;
  ProductApi Library;
  std::map<uint64_t, Line> Lines;
  std::map<uint64_t, Done> Events;
  std::map<uint64_t, size_t> Blocks, Pinned;
  std::map<uint64_t, std::vector<std::function<void()>>> Graphs, Execs;
  std::map<uint64_t, const FakeKernel *> Found;
  uint64_t Next = 1;
  int64_t Live = 0;
  size_t Used = 0;
};

} // namespace vcc::runtime::cuda
#endif
