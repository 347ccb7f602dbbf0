// SPDX-License-Identifier: Apache-2.0
//
// Three short loops.
#include "runtime/device/Rates.h"

#include "runtime/device/cpu/Gemm.h"
#include "runtime/device/cpu/Threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>

namespace vcc::runtime {

namespace {

constexpr int64_t Side = 1024;
constexpr uint64_t MatrixBytes = uint64_t(Side) * Side * 4, StreamBytes = 64 << 20;

double secondsOf(const std::chrono::steady_clock::time_point &since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

/// The least time of one call; calls until `enough` seconds have gone by, three times at least.
template <typename Body>
double bestOf(double enough, Body &&body) {
  double best = std::numeric_limits<double>::infinity();
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3 || secondsOf(start) < enough; ++i) {
    auto before = std::chrono::steady_clock::now();
    body();
    best = std::min(best, secondsOf(before));
  }
  return best;
}

double secondsOfProduct() {
  VccStage stage{};
  stage.name = "rates";
  stage.weights_bytes = MatrixBytes, stage.arena_bytes = 2 * MatrixBytes;
  StageMemory memory(stage);
  std::memset(memory.base(VCC_REGION_WEIGHTS), 0x3c, MatrixBytes); // small numbers
  std::memset(memory.base(VCC_REGION_ARENA), 0x3c, 2 * MatrixBytes);
  VccBuffer buffers[] = {{VCC_REGION_ARENA, 4, 0}, {VCC_REGION_WEIGHTS, 4, 0}, {VCC_REGION_ARENA, 4, MatrixBytes}};
  int64_t ints[VCC_GEMM_INTS] = {};
  ints[VCC_GEMM_BATCH0] = ints[VCC_GEMM_BATCH1] = 1;
  ints[VCC_GEMM_M] = ints[VCC_GEMM_N] = ints[VCC_GEMM_K] = Side;
  ints[VCC_GEMM_A_M] = ints[VCC_GEMM_B_K] = ints[VCC_GEMM_C_M] = Side;
  ints[VCC_GEMM_A_K] = ints[VCC_GEMM_B_N] = ints[VCC_GEMM_C_N] = 1;
  ints[VCC_GEMM_PACK_B] = 1;
  VccLaunch launch{};
  launch.kind = VCC_LAUNCH_GEMM, launch.name = "rates";
  launch.buffers = buffers, launch.buffer_count = 3;
  launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
  Gemms products(memory);
  std::unique_ptr<Launch> product = products.make(launch);
  product->run(); // packs
  return bestOf(0.3, [&] { product->run(); });
}

/// Bytes per second, the faster of reading and copying.
double memoryRate(int threads) {
  VccStage stage{};
  stage.name = "rates";
  stage.arena_bytes = 2 * StreamBytes;
  StageMemory memory(stage);
  std::byte *from = memory.base(VCC_REGION_ARENA), *to = from + StreamBytes;
  // Pages that nobody wrote are all the same one.
  onThreads(threads, [&](int thread, int count) {
    auto [begin, end] = shareOf(2 * StreamBytes, thread, count, 4096);
    std::memset(from + begin, 1, size_t(end - begin));
  });
  double copy = bestOf(0.15, [&] {
    onThreads(threads, [&](int thread, int count) {
      auto [begin, end] = shareOf(StreamBytes, thread, count, 4096);
      std::memcpy(to + begin, from + begin, size_t(end - begin));
    });
  });
  std::atomic<uint64_t> sink = 0; // what is read has to be used
  double read = bestOf(0.15, [&] {
    onThreads(threads, [&](int thread, int count) {
      auto [begin, end] = shareOf(2 * StreamBytes, thread, count, 4096);
      auto *words = reinterpret_cast<const uint64_t *>(from + begin);
      uint64_t sum = 0;
      for (int64_t i = 0, n = (end - begin) / 8; i < n; ++i)
        sum += words[i];
      sink.store(sum, std::memory_order_relaxed);
    });
  });
  return 2.0 * double(StreamBytes) / std::min(copy, read);
}

} // namespace

MachineRates measureRates(int threads) {
  omp_set_num_threads(threads);
  MachineRates rates;
  rates.flops = 2.0 * double(Side) * double(Side) * double(Side) / secondsOfProduct();
  rates.bytes = memoryRate(threads);
  rates.fork = bestOf(0.01, [&] { onThreads(threads, [](int, int) {}); });
  return rates;
}

} // namespace vcc::runtime
