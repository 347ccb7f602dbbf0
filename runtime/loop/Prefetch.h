// SPDX-License-Identifier: Apache-2.0
//
// Batches ahead of the step: one thread asks the source for micro-batches in order and fills slots; the loop copies a
// ready slot into the io region. The time that the loop waits for a slot is the data wait.
#ifndef VCC_RUNTIME_LOOP_PREFETCH_H
#define VCC_RUNTIME_LOOP_PREFETCH_H

#include "runtime/loop/BatchSource.h"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace vcc::runtime {

/// One micro-batch in host memory.
struct Slot {
  int64_t step = 0;
  int micro = 0;
  BatchSource::Micro place;
  HostTensors tensors;
  BatchReport report;
  struct Free {
    void operator()(void *pointer) const { std::free(pointer); }
  };
  std::unique_ptr<void, Free> memory;
  size_t bytes = 0;

  /// Points the tensors, whose shapes are given, into this slot's memory.
  void assign(const HostTensors &shapes);
};

class Prefetch {
public:
  using InputsOfVariant = std::function<HostTensors(const std::string &variant)>;
  /// `inputsOf` says which tensors the micro function of a variant takes. Steps [first, last).
  Prefetch(BatchSource &source, InputsOfVariant inputsOf, int64_t first, int64_t last,
           report::Timeline *spans = nullptr);
  ~Prefetch();
  Prefetch(const Prefetch &) = delete;
  Prefetch &operator=(const Prefetch &) = delete;

  /// The next micro-batch in order; rethrows what its making threw. Valid until release().
  const Slot &take();
  void release();
  /// Seconds spent in take() since the last call.
  double takeWait();

private:
  void work(int64_t first, int64_t last);
  bool fillNext(int64_t step, int micro);

  BatchSource &Source;
  InputsOfVariant InputsOf;
  report::Timeline *Spans;
  std::mutex Mutex;
  std::condition_variable Changed;
  std::vector<std::unique_ptr<Slot>> Free;
  std::deque<std::unique_ptr<Slot>> Ready;
  std::unique_ptr<Slot> Taken;
  std::exception_ptr Fault;
  bool Stopping = false;
  double Waited = 0;
  std::thread Thread;
};

} // namespace vcc::runtime
#endif
