// SPDX-License-Identifier: Apache-2.0
//
// The one thread pool: libgomp's, which oneDNN uses too. Generated kernels are plain functions over a range, so no
// OpenMP compiler is needed, only the library's entry point.
#ifndef VCC_RUNTIME_DEVICE_CPU_THREADS_H
#define VCC_RUNTIME_DEVICE_CPU_THREADS_H

#include <cstdint>
#include <type_traits>
#include <utility>

extern "C" {
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num();
int omp_get_num_threads();
void omp_set_num_threads(int threads);
}

namespace vcc::runtime {

/// Calls body(thread, threads) on up to `threads` threads and waits for all. The body must not throw.
template <typename Body>
void onThreads(int threads, Body &&body) {
  if (threads <= 1)
    return body(0, 1);
  using Type = std::remove_reference_t<Body>;
  GOMP_parallel(
      [](void *data) {
        (*static_cast<Type *>(data))(omp_get_thread_num(), omp_get_num_threads());
      },
      &body, static_cast<unsigned>(threads), 0);
}

/// The part of [0, count) that belongs to one thread, in multiples of `grain`.
inline std::pair<int64_t, int64_t> shareOf(int64_t count, int thread, int threads,
                                           int64_t grain = 1) {
  int64_t grains = (count + grain - 1) / grain;
  int64_t begin = grains * thread / threads * grain, end = grains * (thread + 1) / threads * grain;
  return {begin < count ? begin : count, end < count ? end : count};
}

/// To be called first in main: bounds the spinning of idle threads, unless the user's environment says how they wait.
void settleSpinning(char **argv);

} // namespace vcc::runtime
#endif
