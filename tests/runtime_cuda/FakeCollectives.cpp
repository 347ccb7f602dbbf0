// SPDX-License-Identifier: Apache-2.0
//
// NCCL among ranks: sums are made in their order.
#include "tests/runtime_cuda/FakeGpu.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <unistd.h>

namespace vcc::runtime::cuda {

static constexpr CollectiveResult Invalid = CollectiveInvalidArgument;

std::vector<std::string> FakeGpu::held(const void *mine, size_t bytes) const {
  return exchange ? exchange(mine, bytes) : std::vector<std::string>(size_t(Ranks), std::string(static_cast<const char *>(mine), bytes));
}

/// Of the floats that each rank holds those from `first` on.
static void addUp(const std::vector<std::string> &held, size_t first, float *to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    float sum = 0;
    for (const std::string &bytes : held) {
      float value;
      std::memcpy(&value, bytes.data() + (first + i) * sizeof value, sizeof value);
      sum += value;
    }
    to[i] = sum;
  }
}

CollectiveResult FakeGpu::collective_makeId(CollectiveId *id) {
  static int number = 0;
  std::memset(id->bytes, 7, sizeof id->bytes);
  std::snprintf(id->bytes, sizeof id->bytes, "vcc-nccl-%d-%d", int(getpid()), number++);
  return CollectiveSuccess;
}
CollectiveResult FakeGpu::collective_join(Communicator *joined, int ranks, CollectiveId id, int rank) {
  if (ranks < 1 || rank < 0 || rank >= ranks || id.bytes[127] != 7)
    return Invalid;
  Ranks = ranks, Rank = rank;
  if (meet)
    meet(id, ranks, rank);
  return *joined = handle<Communicator>(), CollectiveSuccess;
}
CollectiveResult FakeGpu::collective_destroy(Communicator) { return end(); }
CollectiveResult FakeGpu::collective_abort(Communicator) { return end(); }
/// Both poll until all graphs that refer to the communicator are gone (NCCL's init.cc, commDestroySync).
CollectiveResult FakeGpu::end() {
  for (const auto &[number, graph] : Execs)
    hangs |= graph.joins;
  return --Live, CollectiveSuccess;
}
CollectiveResult FakeGpu::join(Stream stream, std::function<void()> act) {
  Capturing.joins |= Lines.at(reinterpret_cast<uint64_t>(stream)).capturing;
  return put(stream, std::move(act)) == Success ? CollectiveSuccess : Invalid;
}
CollectiveResult FakeGpu::collective_fault(Communicator, CollectiveResult *fault) { return *fault = CollectiveSuccess, CollectiveSuccess; }

CollectiveResult FakeGpu::collective_beginGroup() {
  if (Grouped)
    return CollectiveInvalidUsage;
  Grouped = true;
  summed.emplace_back();
  return CollectiveSuccess;
}
CollectiveResult FakeGpu::collective_endGroup() {
  bool was = Grouped;
  Grouped = false;
  return was ? CollectiveSuccess : CollectiveInvalidUsage;
}

CollectiveResult FakeGpu::collective_sum(const void *from, void *to, size_t count, CollectiveElement type, CollectiveSum how, Communicator,
                                         Stream stream) {
  if (from != to || type != CollectiveF32 || how != CollectiveSummed || !Grouped)
    return Invalid;
  summed.back().emplace_back(reinterpret_cast<Address>(to), count);
  auto act = [=, this] {
    addUp(held(from, count * sizeof(float)), 0, static_cast<float *>(to), count);
  };
  return join(stream, act);
}
CollectiveResult FakeGpu::collective_gather(const void *from, void *to, size_t count, CollectiveElement type, Communicator, Stream stream) {
  if (type != CollectiveU8)
    return Invalid;
  auto act = [=, this] {
    char *place = static_cast<char *>(to);
    for (const std::string &bytes : held(from, count))
      place = std::copy(bytes.begin(), bytes.end(), place);
  };
  return join(stream, act);
}
CollectiveResult FakeGpu::collective_sumParts(const void *from, void *to, size_t count, CollectiveElement type, CollectiveSum how, Communicator,
                                              Stream stream) {
  if (type != CollectiveF32 || how != CollectiveSummed)
    return Invalid;
  auto act = [=, this] {
    addUp(held(from, count * size_t(Ranks) * sizeof(float)), size_t(Rank) * count, static_cast<float *>(to), count);
  };
  return join(stream, act);
}

} // namespace vcc::runtime::cuda
