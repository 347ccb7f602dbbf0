// SPDX-License-Identifier: Apache-2.0
//
// NCCL among ranks that all hold the same: a sum is as many times what is here.
#include "tests/runtime_cuda/FakeGpu.h"

#include <cstring>

namespace vcc::runtime::cuda {

static constexpr CollectiveResult Invalid = CollectiveInvalidArgument;

CollectiveResult FakeGpu::collective_makeId(CollectiveId *id) {
  std::memset(id->bytes, 7, sizeof id->bytes);
  return CollectiveSuccess;
}
CollectiveResult FakeGpu::collective_join(Communicator *joined, int ranks, CollectiveId id, int rank) {
  if (ranks < 1 || rank < 0 || rank >= ranks || id.bytes[127] != 7)
    return Invalid;
  Ranks = ranks, Rank = rank;
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
    if (sumOverRanks)
      return sumOverRanks(static_cast<float *>(to), count);
    for (size_t i = 0; i < count; ++i)
      static_cast<float *>(to)[i] *= float(Ranks);
  };
  return join(stream, act);
}
CollectiveResult FakeGpu::collective_gather(const void *from, void *to, size_t count, CollectiveElement type, Communicator, Stream stream) {
  if (type != CollectiveU8)
    return Invalid;
  auto act = [=, ranks = size_t(Ranks)] {
    for (size_t rank = 0; rank < ranks; ++rank)
      std::memcpy(static_cast<char *>(to) + rank * count, from, count);
  };
  return join(stream, act);
}
CollectiveResult FakeGpu::collective_sumParts(const void *from, void *to, size_t count, CollectiveElement type, CollectiveSum how, Communicator,
                                              Stream stream) {
  if (type != CollectiveF32 || how != CollectiveSummed)
    return Invalid;
  auto act = [=, ranks = float(Ranks), first = size_t(Rank) * count] {
    for (size_t i = 0; i < count; ++i)
      static_cast<float *>(to)[i] = ranks * static_cast<const float *>(from)[first + i];
  };
  return join(stream, act);
}

} // namespace vcc::runtime::cuda
