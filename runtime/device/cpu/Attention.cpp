// SPDX-License-Identifier: Apache-2.0
//
// Attention's launches: the kernel that the compiler made for the head size, on a range of heads per thread, each thread with
// scratch of its own. What a unit computes depends neither on the range nor on the thread.
#include "runtime/device/cpu/Launch.h"
#include "runtime/device/cpu/Threads.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace vcc::runtime {

namespace {

class AttentionLaunch final : public Launch {
public:
  AttentionLaunch(const VccLaunch &launch, const StageMemory &memory, int threads, bool backward)
      : Kernel(launch.kernel), Ints(launch.ints) {
    uint64_t count = backward ? 12 : 8;
    checkCounts(launch, count, VCC_ATTENTION_INTS);
    for (uint64_t i = 0; i < count; ++i) {
      Buffers.push_back(memory.resolve(launch.buffers[i]));
      if (!Buffers.back() && i != count - 3 && i != count - 2) // lengths, starts
        failLaunch(launch, fmt::format("lacks operand {}", i));
    }
    if (!Kernel)
      failLaunch(launch, "lacks its kernel");
    auto at = [&](VccAttentionInt place) { return Ints[place]; };
    int64_t b = at(VCC_ATTENTION_B), sq = at(VCC_ATTENTION_SQ), sk = at(VCC_ATTENTION_SK), h = at(VCC_ATTENTION_H),
            g = at(VCC_ATTENTION_G), d = at(VCC_ATTENTION_D), rows = at(VCC_ATTENTION_BLOCK_ROWS);
    if (b < 1 || sq < 1 || sk < 1 || h < 1 || g < 1 || d < 1 || h % g != 0 || rows < 1)
      failLaunch(launch, fmt::format("has sizes B {} Sq {} Sk {} H {} G {} D {} and blocks of {}", b, sq, sk, h, g, d, rows));
    ScratchBytes = at(VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD);
    int64_t needed = vcc_attention_scratch_bytes(rows, sk, d, backward);
    if (ScratchBytes < needed || ScratchBytes % 4 != 0)
      failLaunch(launch, fmt::format("has {} bytes of scratch per thread, but needs {}", ScratchBytes, needed));
    Units = backward ? b * g : b * h * ((sq + rows - 1) / rows);
    Threads = int(std::min<int64_t>(Units, std::clamp<int64_t>(at(VCC_ATTENTION_MAX_THREADS), 1, threads)));
  }

  void run() override {
    onThreads(Threads, [this](int thread, int threads) {
      auto [begin, end] = shareOf(Units, thread, threads);
      void *own[12];
      std::copy(Buffers.begin(), Buffers.end(), own);
      own[Buffers.size() - 1] = Buffers.back() + thread * ScratchBytes;
      if (begin < end)
        Kernel(own, Ints, begin, end);
    });
  }

private:
  VccKernel Kernel;
  const int64_t *Ints;
  std::vector<std::byte *> Buffers; // the last one is the scratch of all threads
  int64_t Units, ScratchBytes;
  int Threads;
};

} // namespace

std::unique_ptr<Launch> makeAttention(const VccLaunch &launch, const StageMemory &memory, int threads) {
  return std::make_unique<AttentionLaunch>(launch, memory, threads, /*backward=*/false);
}

std::unique_ptr<Launch> makeAttentionGrad(const VccLaunch &launch, const StageMemory &memory, int threads) {
  return std::make_unique<AttentionLaunch>(launch, memory, threads, /*backward=*/true);
}

} // namespace vcc::runtime
