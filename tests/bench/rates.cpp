// SPDX-License-Identifier: Apache-2.0
//
// What this machine can do, for the floor: `rates THREADS memory BYTES..` gives the best memory rate over so many bytes,
// `rates THREADS products M,N,K,BATCH..` oneDNN's best rate for each matrix product. One JSON object on the output.
#include <dnnl.hpp>
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

static double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The least time of a call, over some tens of milliseconds.
static double least(const std::function<void()> &call) {
  call();
  double best = 1e9;
  for (double end = seconds() + 0.04, start = seconds(); start < end; start = seconds()) {
    call();
    best = std::min(best, seconds() - start);
  }
  return best;
}

/// This thread's share of `count` elements, in whole lines.
static std::pair<int64_t, int64_t> shareOf(int64_t count) {
  int64_t lines = count / 16, threads = omp_get_num_threads(), thread = omp_get_thread_num();
  return {lines * thread / threads * 16, lines * (thread + 1) / threads * 16};
}

/// Bytes per second, reads and writes counted: of a copy, of a copy past the caches, of a change in place.
static double memoryRate(int64_t bytes) {
  int64_t count = bytes / 8;
  auto *from = static_cast<float *>(std::aligned_alloc(64, size_t(count * 4 + 63) / 64 * 64));
  auto *to = static_cast<float *>(std::aligned_alloc(64, size_t(count * 4 + 63) / 64 * 64));
  std::fill(from, from + count, 1.0f), std::fill(to, to + count, 1.0f);
  double copy = least([&] {
#pragma omp parallel
    {
      auto [begin, end] = shareOf(count);
      std::memcpy(to + begin, from + begin, size_t(end - begin) * 4);
    }
  });
  double streamed = least([&] {
#pragma omp parallel
    {
      auto [begin, end] = shareOf(count);
      for (int64_t i = begin; i < end; i += 8)
        _mm256_stream_ps(to + i, _mm256_load_ps(from + i));
      _mm_sfence();
    }
  });
  double changed = least([&] {
#pragma omp parallel
    {
      auto [begin, end] = shareOf(count);
      for (float *both : {from, to})
#pragma omp simd
        for (int64_t i = begin; i < end; ++i)
          both[i] = both[i] * 0.999f + 0.001f;
    }
  }) / 2; // it reads and writes both
  std::free(from), std::free(to);
  return double(count * 8) / std::min({copy, streamed, changed});
}

/// FLOP per second of m x k times k x n, `batch` of them; the right side as it is or packed ahead, whichever is faster.
static double productRate(int64_t m, int64_t n, int64_t k, int64_t batch) {
  using namespace dnnl;
  engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  auto f32 = memory::data_type::f32;
  double best = 1e9;
  for (bool packed : {false, true}) {
    auto plain = memory::format_tag::abc;
    memory::desc left({batch, m, k}, f32, plain), out({batch, m, n}, f32, plain);
    memory::desc right({batch, k, n}, f32, packed ? memory::format_tag::any : plain);
    matmul::primitive_desc description(matmul::desc(left, right, out), cpu);
    memory a(left, cpu), b(description.weights_desc(), cpu), c(out, cpu);
    for (memory *filled : {&a, &b}) {
      auto *values = static_cast<float *>(filled->get_data_handle());
      std::generate(values, values + filled->get_desc().get_size() / 4, [&] { return uniform(random); });
    }
    matmul product(description);
    best = std::min(best, least([&] {
      product.execute(queue, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
      queue.wait();
    }));
  }
  return 2.0 * double(batch * m * n * k) / best;
}

int main(int count, char **words) {
  if (count < 4)
    return std::fprintf(stderr, "usage: rates THREADS memory BYTES.. | rates THREADS products M,N,K,BATCH..\n"), 1;
  omp_set_num_threads(std::atoi(words[1]));
  bool memory = std::string(words[2]) == "memory";
  std::printf("{");
  for (int i = 3; i < count; ++i) {
    long m = 0, n = 0, k = 0, batch = 1;
    if (!memory && std::sscanf(words[i], "%ld,%ld,%ld,%ld", &m, &n, &k, &batch) != 4)
      return std::fprintf(stderr, "`%s` is not M,N,K,BATCH\n", words[i]), 1;
    double rate = memory ? memoryRate(std::atoll(words[i])) : productRate(m, n, k, batch);
    std::printf("%s\"%s\": %.4g", i > 3 ? ", " : "", words[i], rate);
  }
  std::printf("}\n");
}
