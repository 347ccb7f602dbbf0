// SPDX-License-Identifier: Apache-2.0
//
// Groups of items made ahead of their use by worker threads: a group is a step or an evaluation
// batch, an item one of its samples. At most `Ahead` groups exist at a time, so memory is bounded;
// what an item is depends on its numbers only, so neither the number of workers nor their pace can
// be seen in the result.
#ifndef VCC_RUNTIME_DATA_BATCHES_AHEADQUEUE_H
#define VCC_RUNTIME_DATA_BATCHES_AHEADQUEUE_H

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <signal.h>
#include <thread>
#include <vector>

namespace vcc::runtime::data {

template <typename Item>
class AheadQueue {
public:
  using Group = std::vector<std::unique_ptr<Item>>;
  using Count = std::function<int64_t(int64_t group)>;
  using Make = std::function<std::unique_ptr<Item>(int64_t group, int64_t item)>;

  /// `count` says how many items a group has, `make` makes one (on any worker); `end`: groups from
  /// there do not exist.
  AheadQueue(int workers, int64_t ahead, int64_t end, Count count, Make make)
      : Ahead(ahead < 1 ? 1 : ahead), End(end), CountOf(std::move(count)),
        MakeOne(std::move(make)) {
    for (int i = 0; i < (workers < 1 ? 1 : workers); ++i)
      Workers.emplace_back([this] { work(); });
  }

  ~AheadQueue() {
    {
      std::lock_guard lock(Mutex);
      Stopping = true;
    }
    Wake.notify_all();
    for (std::thread &worker : Workers)
      worker.join();
  }

  /// All items of a group, once they are made; they stay until another group is asked for. Rethrows
  /// the failure of the first item that has one.
  const Group &take(int64_t group) {
    std::unique_lock lock(Mutex);
    if (!Window.empty() && (group < Window.front()->Number || group > Window.back()->Number))
      Window.clear();
    while (!Window.empty() && Window.front()->Number < group)
      Window.pop_front();
    if (Window.empty())
      Next = group;
    for (; static_cast<int64_t>(Window.size()) < Ahead && Next < End; ++Next)
      Window.push_back(std::make_shared<Slot>(Next, CountOf(Next)));
    Wake.notify_all();
    Current = Window.front();
    Ready.wait(lock, [&] { return Current->Done == static_cast<int64_t>(Current->Items.size()); });
    if (Current->Error)
      std::rethrow_exception(Current->Error);
    return Current->Items;
  }

private:
  struct Slot {
    Slot(int64_t number, int64_t count) : Number(number), Items(count) {}
    int64_t Number;
    Group Items;
    int64_t Claimed = 0, Done = 0;
    std::exception_ptr Error;
    int64_t ErrorItem = 0;
  };

  std::shared_ptr<Slot> unclaimed() {
    for (const std::shared_ptr<Slot> &slot : Window)
      if (slot->Claimed < static_cast<int64_t>(slot->Items.size()))
        return slot;
    return nullptr;
  }

  void work() {
    // Signals are for the thread that trains.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock lock(Mutex);
    for (;;) {
      std::shared_ptr<Slot> slot;
      Wake.wait(lock, [&] { return Stopping || (slot = unclaimed()); });
      if (Stopping)
        return;
      int64_t item = slot->Claimed++;
      lock.unlock();
      std::unique_ptr<Item> made;
      std::exception_ptr error;
      try {
        made = MakeOne(slot->Number, item);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      slot->Items[item] = std::move(made);
      if (error && (!slot->Error || item < slot->ErrorItem)) {
        slot->Error = error;
        slot->ErrorItem = item;
      }
      if (++slot->Done == static_cast<int64_t>(slot->Items.size()))
        Ready.notify_all();
    }
  }

  const int64_t Ahead, End;
  const Count CountOf;
  const Make MakeOne;
  std::mutex Mutex;
  std::condition_variable Wake, Ready;
  std::deque<std::shared_ptr<Slot>> Window;
  std::shared_ptr<Slot> Current;
  int64_t Next = 0;
  bool Stopping = false;
  std::vector<std::thread> Workers;
};

} // namespace vcc::runtime::data
#endif
