// SPDX-License-Identifier: Apache-2.0
//
// The thread that prepares batches.
#include "runtime/loop/Prefetch.h"

#include <chrono>
#include <new>

#include <pthread.h>
#include <signal.h>

namespace vcc::runtime {

static size_t roundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

void Slot::assign(const HostTensors &shapes) {
  size_t needed = 64;
  for (const auto &[name, tensor] : shapes)
    needed += roundUp(size_t(elementsOf(tensor.shape) * bytesOf(tensor.dtype)));
  if (needed > bytes) {
    void *pointer = nullptr;
    if (posix_memalign(&pointer, 64, needed) != 0)
      throw std::bad_alloc();
    memory.reset(pointer);
    bytes = needed;
  }
  tensors = shapes;
  auto *next = static_cast<std::byte *>(memory.get());
  for (auto &[name, tensor] : tensors) {
    tensor.data = next;
    next += roundUp(size_t(elementsOf(tensor.shape) * bytesOf(tensor.dtype)));
  }
}

Prefetch::Prefetch(BatchSource &source, InputsOfVariant inputsOf, int64_t first, int64_t last,
                   report::Timeline *spans)
    : Source(source), InputsOf(std::move(inputsOf)), Spans(spans) {
  constexpr int Slots = 2;
  for (int i = 0; i < Slots; ++i)
    Free.push_back(std::make_unique<Slot>());
  Thread = std::thread([this, first, last] { work(first, last); });
}

Prefetch::~Prefetch() {
  {
    std::lock_guard lock(Mutex);
    Stopping = true;
  }
  Changed.notify_all();
  Thread.join();
}

void Prefetch::work(int64_t first, int64_t last) {
  sigset_t all; // signals are for the thread that trains
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  for (int64_t step = first; step < last; ++step)
    for (int micro = 0, micros = Source.micros(step); micro < micros; ++micro)
      if (!fillNext(step, micro))
        return;
}

bool Prefetch::fillNext(int64_t step, int micro) {
  std::unique_ptr<Slot> slot;
  {
    std::unique_lock lock(Mutex);
    Changed.wait(lock, [this] { return Stopping || !Free.empty(); });
    if (Stopping)
      return false;
    slot = std::move(Free.back());
    Free.pop_back();
  }
  std::exception_ptr fault;
  try {
    report::Timed timed(Spans, "batches", "batch of step", step);
    slot->step = step, slot->micro = micro;
    slot->report = {};
    slot->place = Source.micro(step, micro);
    slot->assign(InputsOf(slot->place.variant));
    Source.fill(step, micro, slot->tensors, slot->report);
  } catch (...) {
    fault = std::current_exception();
  }
  {
    std::lock_guard lock(Mutex);
    if (fault)
      Fault = fault;
    else
      Ready.push_back(std::move(slot));
  }
  Changed.notify_all();
  return !fault;
}

const Slot &Prefetch::take() {
  auto before = std::chrono::steady_clock::now();
  std::unique_lock lock(Mutex);
  Changed.wait(lock, [this] { return !Ready.empty() || Fault; });
  Waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  if (Ready.empty())
    std::rethrow_exception(Fault);
  Taken = std::move(Ready.front());
  Ready.pop_front();
  return *Taken;
}

void Prefetch::release() {
  {
    std::lock_guard lock(Mutex);
    Free.push_back(std::move(Taken));
  }
  Changed.notify_all();
}

double Prefetch::takeWait() {
  double waited = Waited;
  Waited = 0;
  return waited;
}

} // namespace vcc::runtime
