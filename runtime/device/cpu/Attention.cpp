// SPDX-License-Identifier: Apache-2.0
//
// Attention in blocks of query rows (Rabe and Staats, 2021, without the split over keys): scores of one block live in the
// thread's scratch, so that memory does not grow with the number of queries. Products are oneDNN's, the row work is the
// program's kernels. A work item is one (sample, head, block) forward and one (sample, key head) backward; it sums in a
// fixed order, so that results do not depend on the number of threads.
#include "runtime/device/cpu/Launch.h"
#include "runtime/device/cpu/Threads.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <atomic>

namespace vcc::runtime {

namespace {

/// The products of one launch. A body that runs on threads must not throw, so the first refusal is kept and thrown after.
class Products {
public:
  explicit Products(const VccLaunch &launch) : Of(launch) {}

  /// C (m x n, leading dimension ldc) = op(A) op(B) + beta C, row-major.
  void operator()(char transA, char transB, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                  const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    dnnl_status_t status = dnnl_sgemm(transA, transB, m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
    if (status != dnnl_success)
      Status.store(status, std::memory_order_relaxed);
  }

  /// To be called after the threads have joined.
  void check() {
    if (dnnl_status_t status = Status.exchange(dnnl_success); status != dnnl_success)
      failLaunch(Of, fmt::format("has a product that oneDNN could not compute (status {})", int(status)));
  }

private:
  const VccLaunch &Of;
  std::atomic<dnnl_status_t> Status{dnnl_success};
};

struct Sizes {
  int64_t b, sq, sk, h, g, d;
  bool causal;
  int64_t scaleBits, blockRows, bytesPerThread;
  int threads;

  Sizes(const VccLaunch &launch, int available) {
    checkCounts(launch, 0, VCC_ATTENTION_INTS);
    const int64_t *ints = launch.ints;
    b = ints[VCC_ATTENTION_B], sq = ints[VCC_ATTENTION_SQ], sk = ints[VCC_ATTENTION_SK];
    h = ints[VCC_ATTENTION_H], g = ints[VCC_ATTENTION_G], d = ints[VCC_ATTENTION_D];
    causal = ints[VCC_ATTENTION_CAUSAL] != 0;
    scaleBits = ints[VCC_ATTENTION_SCALE_BITS];
    blockRows = ints[VCC_ATTENTION_BLOCK_ROWS];
    bytesPerThread = ints[VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD] / 64 * 64;
    threads = int(std::clamp<int64_t>(ints[VCC_ATTENTION_MAX_THREADS], 1, available));
    if (b < 1 || sq < 1 || sk < 1 || h < 1 || g < 1 || d < 1 || h % g != 0)
      failLaunch(launch, fmt::format("has sizes B {} Sq {} Sk {} H {} G {} D {}", b, sq, sk, h, g, d));
  }

  /// Takes as many rows at a time as the scratch of one thread holds.
  void fitBlock(const VccLaunch &launch, int64_t bytesPerRow) {
    int64_t fitting = bytesPerThread / bytesPerRow;
    blockRows = std::min({blockRows > 0 ? blockRows : sq, fitting, sq});
    if (blockRows < 1)
      failLaunch(launch, fmt::format("has {} bytes of scratch per thread, but one row needs {}",
                                     bytesPerThread, bytesPerRow));
  }

  /// How many keys query `i` of sample `sample` sees.
  int32_t visible(const int32_t *lengths, int64_t sample, int64_t i) const {
    int64_t count = lengths ? std::clamp<int64_t>(lengths[sample], 0, sk) : sk;
    if (causal)
      count = std::clamp<int64_t>(i + sk - sq + 1, 0, count);
    return int32_t(count);
  }
};

class AttentionLaunch final : public Launch {
public:
  AttentionLaunch(const VccLaunch &launch, const StageMemory &memory, int threads)
      : S(launch, threads), Product(launch), Softmax(launch.kernel) {
    checkCounts(launch, 7, VCC_ATTENTION_INTS);
    auto resolve = [&](int i) { return memory.resolve(launch.buffers[i]); };
    Q = reinterpret_cast<const float *>(resolve(0));
    K = reinterpret_cast<const float *>(resolve(1));
    V = reinterpret_cast<const float *>(resolve(2));
    Out = reinterpret_cast<float *>(resolve(3));
    Lse = reinterpret_cast<float *>(resolve(4));
    Lengths = reinterpret_cast<const int32_t *>(resolve(5));
    Workspace = resolve(6);
    if (!Q || !K || !V || !Out || !Lse || !Workspace || !Softmax)
      failLaunch(launch, "lacks an operand of attention");
    S.fitBlock(launch, (S.sk + 1) * 4);
    Blocks = (S.sq + S.blockRows - 1) / S.blockRows;
  }

  void run() override {
    int64_t items = S.b * S.h * Blocks;
    onThreads(S.threads, [&](int thread, int threads) {
      auto [begin, end] = shareOf(items, thread, threads);
      for (int64_t item = begin; item < end; ++item)
        runBlock(item / (S.h * Blocks), item / Blocks % S.h, item % Blocks,
                 Workspace + thread * S.bytesPerThread);
    });
    Product.check();
  }

private:
  void runBlock(int64_t b, int64_t h, int64_t block, std::byte *scratch) {
    int64_t first = block * S.blockRows, rows = std::min(S.blockRows, S.sq - first);
    int64_t g = h / (S.h / S.g), strideQ = S.h * S.d, strideK = S.g * S.d;
    const float *q = Q + ((b * S.sq + first) * S.h + h) * S.d;
    const float *k = K + (b * S.sk * S.g + g) * S.d, *v = V + (b * S.sk * S.g + g) * S.d;
    auto *scores = reinterpret_cast<float *>(scratch);
    auto *visible = reinterpret_cast<int32_t *>(scores + S.blockRows * S.sk);
    for (int64_t i = 0; i < rows; ++i)
      visible[i] = S.visible(Lengths, b, first + i);
    Product('N', 'T', rows, S.sk, S.d, q, strideQ, k, strideK, 0, scores, S.sk);
    void *buffers[] = {scores, visible, Lse + (b * S.h + h) * S.sq + first};
    int64_t ints[] = {1, rows, 0, S.sk, 0, 1, 0, 1, S.scaleBits};
    Softmax(buffers, ints, 0, rows);
    Product('N', 'N', rows, S.d, S.sk, scores, S.sk, v, strideK, 0,
            Out + ((b * S.sq + first) * S.h + h) * S.d, strideQ);
  }

  Sizes S;
  Products Product;
  VccKernel Softmax;
  const float *Q, *K, *V;
  float *Out, *Lse;
  const int32_t *Lengths;
  std::byte *Workspace;
  int64_t Blocks;
};

class AttentionGradLaunch final : public Launch {
public:
  AttentionGradLaunch(const VccLaunch &launch, const StageMemory &memory, int threads)
      : S(launch, threads), Product(launch), Probabilities(launch.kernel),
        ScoreGrad(launch.kernel2), Delta(launch.kernel3) {
    checkCounts(launch, 11, VCC_ATTENTION_INTS);
    std::byte *at[11];
    for (int i = 0; i < 11; ++i)
      at[i] = memory.resolve(launch.buffers[i]);
    for (int i : {0, 1, 2, 3, 4, 5, 6, 7, 8, 10})
      if (!at[i])
        failLaunch(launch, fmt::format("lacks operand {}", i));
    if (!Probabilities || !ScoreGrad || !Delta)
      failLaunch(launch, "lacks a kernel of the gradient of attention");
    auto floats = [&](int i) { return reinterpret_cast<float *>(at[i]); };
    Q = floats(0), K = floats(1), V = floats(2), Out = floats(3), Lse = floats(4);
    DOut = floats(5), DQ = floats(6), DK = floats(7), DV = floats(8);
    Lengths = reinterpret_cast<const int32_t *>(at[9]);
    Workspace = at[10];
    S.fitBlock(launch, (2 * S.sk + 2) * 4);
  }

  void run() override {
    onThreads(S.threads, [&](int thread, int threads) {
      auto [begin, end] = shareOf(S.b * S.g, thread, threads);
      for (int64_t item = begin; item < end; ++item)
        runKeyHead(item / S.g, item % S.g, Workspace + thread * S.bytesPerThread);
    });
    Product.check();
  }

private:
  void runKeyHead(int64_t b, int64_t g, std::byte *scratch) {
    bool firstBlock = true;
    int64_t shared = S.h / S.g;
    for (int64_t h = g * shared; h < (g + 1) * shared; ++h)
      for (int64_t first = 0; first < S.sq; first += S.blockRows) {
        runBlock(b, g, h, first, firstBlock ? 0.0f : 1.0f, scratch);
        firstBlock = false;
      }
  }

  void runBlock(int64_t b, int64_t g, int64_t h, int64_t first, float beta, std::byte *scratch) {
    int64_t rows = std::min(S.blockRows, S.sq - first);
    int64_t strideQ = S.h * S.d, strideK = S.g * S.d;
    int64_t atQ = ((b * S.sq + first) * S.h + h) * S.d, atK = (b * S.sk * S.g + g) * S.d;
    auto *p = reinterpret_cast<float *>(scratch), *ds = p + S.blockRows * S.sk;
    float *delta = ds + S.blockRows * S.sk;
    auto *visible = reinterpret_cast<int32_t *>(delta + S.blockRows);
    for (int64_t i = 0; i < rows; ++i)
      visible[i] = S.visible(Lengths, b, first + i);

    Product('N', 'T', rows, S.sk, S.d, Q + atQ, strideQ, K + atK, strideK, 0, p, S.sk);
    void *scores[] = {p, visible, Lse + (b * S.h + h) * S.sq + first};
    int64_t scoreInts[] = {1, rows, 0, S.sk, 0, 1, 0, 1, S.scaleBits};
    Probabilities(scores, scoreInts, 0, rows);

    Product('N', 'T', rows, S.sk, S.d, DOut + atQ, strideQ, V + atK, strideK, 0, ds, S.sk);
    void *deltas[] = {Out + atQ, DOut + atQ, delta};
    int64_t deltaInts[] = {1, rows, 0, strideQ, 0, strideQ, 0, 1};
    Delta(deltas, deltaInts, 0, rows);
    void *grads[] = {p, ds, delta};
    int64_t gradInts[] = {1, rows, 0, S.sk, 0, S.sk, 0, 1, S.scaleBits};
    ScoreGrad(grads, gradInts, 0, rows);

    Product('N', 'N', rows, S.d, S.sk, ds, S.sk, K + atK, strideK, 0, DQ + atQ, strideQ);
    Product('T', 'N', S.sk, S.d, rows, ds, S.sk, Q + atQ, strideQ, beta, DK + atK, strideK);
    Product('T', 'N', S.sk, S.d, rows, p, S.sk, DOut + atQ, strideQ, beta, DV + atK, strideK);
  }

  Sizes S;
  Products Product;
  VccKernel Probabilities, ScoreGrad, Delta;
  float *Q, *K, *V, *Out, *Lse, *DOut, *DQ, *DK, *DV;
  const int32_t *Lengths;
  std::byte *Workspace;
};

} // namespace

std::unique_ptr<Launch> makeAttention(const VccLaunch &launch, const StageMemory &memory,
                                      int threads) {
  return std::make_unique<AttentionLaunch>(launch, memory, threads);
}

std::unique_ptr<Launch> makeAttentionGrad(const VccLaunch &launch, const StageMemory &memory,
                                          int threads) {
  return std::make_unique<AttentionGradLaunch>(launch, memory, threads);
}

} // namespace vcc::runtime
