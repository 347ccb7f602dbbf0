// SPDX-License-Identifier: Apache-2.0
#include "tests/ptx/Meeting.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vcc::ptx {

static constexpr size_t DeskBytes = size_t(1) << 20;

/// New memory is zero, which is how a board begins.
struct Meeting::Board {
  std::atomic<int> came, waiting;
  std::atomic<unsigned> round;
};

static size_t bytesOf(int ranks) { return 4096 + size_t(ranks) * DeskBytes; }

Meeting::Meeting(const std::string &name, int ranks, int rank) : Ranks(ranks), Rank(rank) {
  std::string path = "/" + name;
  int file = shm_open(path.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, off_t(bytesOf(ranks))) != 0)
    throw std::runtime_error("no memory can be shared: " + std::string(std::strerror(errno)));
  void *memory = mmap(nullptr, bytesOf(ranks), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED)
    throw std::runtime_error("no memory can be shared: " + std::string(std::strerror(errno)));
  Shared = static_cast<Board *>(memory);
  if (++Shared->came == ranks)
    shm_unlink(path.c_str());
}
Meeting::~Meeting() { munmap(Shared, bytesOf(Ranks)); }

char *Meeting::desk(int rank) const { return reinterpret_cast<char *>(Shared) + 4096 + size_t(rank) * DeskBytes; }

void Meeting::wait() {
  unsigned round = Shared->round;
  if (++Shared->waiting == Ranks) {
    Shared->waiting = 0;
    ++Shared->round;
    return;
  }
  auto end = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (Shared->round == round) {
    if (std::chrono::steady_clock::now() > end)
      throw std::runtime_error("another rank did not come for five minutes");
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

std::vector<std::string> Meeting::exchange(const void *mine, size_t bytes) {
  std::vector<std::string> all(static_cast<size_t>(Ranks));
  for (size_t done = 0; done < bytes; done += DeskBytes) {
    size_t part = std::min(DeskBytes, bytes - done);
    std::memcpy(desk(Rank), static_cast<const char *>(mine) + done, part);
    wait();
    for (int rank = 0; rank < Ranks; ++rank)
      all[size_t(rank)].append(desk(rank), part);
    wait();
  }
  return all;
}

} // namespace vcc::ptx
