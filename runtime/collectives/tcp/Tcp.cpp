// SPDX-License-Identifier: Apache-2.0
//
// Every rank but 0 has two connections with rank 0: one for what is exchanged, in the order of calls, and a lifeline, on which nothing
// comes but the exit code of a rank that ended all, or a farewell. A thread of each rank listens to it, so that one who waits for
// something else, as for a GPU that waits for a rank that is gone, ends too.
#include "runtime/collectives/tcp/Tcp.h"

#include "runtime/collectives/tcp/Socket.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <poll.h>

namespace vcc::runtime {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t Magic = 0x314b4e4152434356; // "VCCRANK1"
constexpr int32_t Farewell = -1;
constexpr std::chrono::seconds Patience(5); // until somebody who watches is told whom all wait for

struct Greeting {
  uint64_t magic;
  int32_t size, rank, lifeline;
};

class Tcp final : public World {
public:
  Tcp(const Launched &launched, const Meeting &meeting, int seconds) : Rank(launched.rank), Size(launched.size) {
    auto end = Clock::now() + std::chrono::seconds(seconds);
    Data.resize(Rank == 0 ? size_t(Size) : 1), Life.resize(Data.size());
    if (Rank == 0)
      awaitOthers(meeting, end);
    else
      for (int32_t lifeline : {0, 1})
        (lifeline ? Life : Data)[0] = greeted(meeting, lifeline, end);
    // Who was greeted last knows by this that all are there.
    if (Rank == 0)
      for (int rank = 1; rank < Size; ++rank)
        tell(Life[size_t(rank)], 0);
    else if (int32_t code = 0; !Life[0].receive(&code, sizeof code) || code != 0)
      throw Failure(Exit::Machine, fmt::format("rank {}: rank 0 ended before all ranks were there", Rank));
    if (Size > 1)
      Listener = std::thread([this] { Rank == 0 ? listenToAll() : listenToFirst(); });
  }

  ~Tcp() override {
    if (Rank != 0)
      tell(Life[0], Farewell);
    if (Listener.joinable())
      Listener.join(); // rank 0: until all have said farewell
    if (Rank == 0)
      for (int rank = 1; rank < Size; ++rank)
        tell(Life[size_t(rank)], Farewell);
  }

  int rank() const override { return Rank; }
  int size() const override { return Size; }
  bool isJoined() const override { return true; }

  void gather(const void *mine, void *all, size_t bytes) override {
    auto *parts = static_cast<std::byte *>(all);
    if (Rank != 0) {
      put(0, mine, bytes);
      return take(0, all, bytes * size_t(Size));
    }
    std::memmove(parts, mine, bytes);
    for (int rank = 1; rank < Size; ++rank)
      take(rank, parts + size_t(rank) * bytes, bytes);
    for (int rank = 1; rank < Size; ++rank)
      put(rank, all, bytes * size_t(Size));
  }

  void exchange(const void *parts, void *received, size_t bytes) override {
    size_t row = bytes * size_t(Size);
    if (Rank != 0) {
      put(0, parts, row);
      return take(0, received, row);
    }
    std::vector<std::byte> all(row * size_t(Size)), column(row);
    std::memcpy(all.data(), parts, row);
    for (int rank = 1; rank < Size; ++rank)
      take(rank, all.data() + size_t(rank) * row, row);
    for (int to = Size - 1; to >= 0; --to) {
      for (int from = 0; from < Size; ++from)
        std::memcpy(column.data() + size_t(from) * bytes, all.data() + size_t(from) * row + size_t(to) * bytes, bytes);
      if (to != 0)
        put(to, column.data(), row);
    }
    std::memcpy(received, column.data(), row);
  }

  void broadcast(void *data, size_t bytes) override {
    if (Rank != 0)
      return take(0, data, bytes);
    for (int rank = 1; rank < Size; ++rank)
      put(rank, data, bytes);
  }

  void barrier() override {
    char mine = 0;
    std::vector<char> all(static_cast<size_t>(Size));
    gather(&mine, all.data(), 1);
  }

  [[noreturn]] void abort(int code) override {
    claimEnd();
    for (const Socket &socket : Life)
      tell(socket, code);
    std::_Exit(code);
  }

private:
  static void tell(const Socket &socket, int32_t code) {
    if (socket)
      socket.send(&code, sizeof code);
  }

  std::vector<int> absent() const {
    std::vector<int> ranks;
    for (int rank = 1; rank < Size; ++rank)
      if (!Data[size_t(rank)] || !Life[size_t(rank)])
        ranks.push_back(rank);
    return ranks;
  }

  void awaitOthers(const Meeting &meeting, Clock::time_point end) {
    if (Size == 1)
      return;
    Socket door = Socket::listening(meeting.host, meeting.port);
    auto notice = Clock::now() + std::min<Clock::duration>(Patience, (end - Clock::now()) / 10);
    for (int missing = 2 * (Size - 1); missing > 0;) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
      auto untilNotice = std::chrono::duration_cast<std::chrono::milliseconds>(notice - Clock::now()).count();
      if (notice < end && untilNotice < left && !door.waits(int(std::max<int64_t>(untilNotice, 0)))) {
        std::fprintf(stderr, "rank 0 waits at `%s` port %d for those of %d ranks that have not come yet: %s\n", meeting.host.c_str(), meeting.port, Size,
                     fmt::format("{}", fmt::join(absent(), ", ")).c_str());
        notice = end;
        continue;
      }
      if (left <= 0 || !door.waits(int(left))) {
        throw Failure(Exit::Machine, fmt::format("of {} ranks these have not come to `{}` port {}: {}", Size, meeting.host, meeting.port, fmt::join(absent(), ", ")),
                      "their own messages may say why; firewalls between the machines must let this port through");
      }
      Socket guest = door.accepted();
      Greeting greeting{};
      guest.limit(10); // a stranger may say nothing
      if (!guest || !guest.receive(&greeting, sizeof greeting) || greeting.magic != Magic)
        continue;
      guest.limit(0);
      if (greeting.size != Size || greeting.rank < 1 || greeting.rank >= Size)
        throw Failure(Exit::Usage, fmt::format("a rank {} of {} came to rank 0 of {}", greeting.rank, greeting.size, Size),
                      "two runs meet at one port: set MASTER_PORT to another for one of them");
      Socket &place = (greeting.lifeline ? Life : Data)[size_t(greeting.rank)];
      missing -= !place;
      place = std::move(guest);
    }
  }

  Socket greeted(const Meeting &meeting, int32_t lifeline, Clock::time_point end) const {
    Greeting greeting{Magic, Size, Rank, lifeline};
    for (std::string reason;;) {
      Socket socket = Socket::connected(meeting.host, meeting.port, reason);
      if (socket && socket.send(&greeting, sizeof greeting))
        return socket;
      if (Clock::now() >= end)
        throw Failure(Exit::Machine, fmt::format("rank 0 cannot be reached at `{}` port {}: {}", meeting.host, meeting.port, reason),
                      "MASTER_ADDR must name the machine of rank 0, as this one can reach it");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  /// The lifeline knows better why somebody is gone, and ends this process.
  [[noreturn]] void lost(int rank) const {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    throw Failure(Exit::Machine, fmt::format("rank {} is gone", rank), "its own message, or its machine's log, may say why");
  }
  void put(int rank, const void *data, size_t bytes) const {
    if (!Data[size_t(rank)].send(data, bytes))
      lost(rank);
  }
  void take(int rank, void *data, size_t bytes) const {
    if (!Data[size_t(rank)].receive(data, bytes))
      lost(rank);
  }

  /// Of this process' threads the first that wants to end it does, with its code: whom an abort reached may be gone before it is over.
  void claimEnd() {
    while (Ended.test_and_set())
      std::this_thread::sleep_for(std::chrono::seconds(1));
  }

  /// Behind claimEnd().
  [[noreturn]] void sayGone(int rank) const {
    std::fprintf(stderr, "error: %srank %d is gone\nhelp: its own message, or its machine's log, may say why\n",
                 Rank ? fmt::format("rank {}: ", Rank).c_str() : "", rank);
    std::_Exit(int(Exit::Machine));
  }

  void listenToFirst() {
    int32_t code = 0;
    bool heard = Life[0].receive(&code, sizeof code);
    if (heard && code == Farewell)
      return;
    claimEnd();
    if (!heard)
      sayGone(0);
    std::_Exit(code);
  }

  void listenToAll() {
    std::vector<pollfd> lines;
    for (int rank = 1; rank < Size; ++rank)
      lines.push_back({Life[size_t(rank)].descriptor(), POLLIN, 0});
    for (size_t present = lines.size(); present > 0;) {
      if (poll(lines.data(), lines.size(), -1) < 0)
        continue; // a signal
      for (size_t i = 0; i < lines.size(); ++i) {
        if (!lines[i].revents)
          continue;
        int rank = int(i) + 1;
        int32_t code = 0;
        bool heard = Life[size_t(rank)].receive(&code, sizeof code);
        if (heard && code == Farewell) {
          lines[i].fd = -1; // poll passes it over
          lines[i].revents = 0;
          --present;
          continue;
        }
        claimEnd();
        for (const Socket &other : Life)
          tell(other, heard ? code : int32_t(Exit::Machine));
        if (!heard)
          sayGone(rank);
        std::_Exit(code);
      }
    }
  }

  int Rank, Size;
  std::vector<Socket> Data, Life; // by rank at rank 0, whose own are empty; else one, to rank 0
  std::thread Listener;
  std::atomic_flag Ended;
};

} // namespace

std::unique_ptr<World> makeTcpWorld(const Launched &launched, const Meeting &meeting, int seconds) {
  return std::make_unique<Tcp>(launched, meeting, seconds);
}

std::unique_ptr<World> makeLaunchedWorld() {
  Launched launched = launchedRanks();
  return launched.byLauncher ? makeTcpWorld(launched, meetingPlace()) : makeSingleWorld();
}

} // namespace vcc::runtime
