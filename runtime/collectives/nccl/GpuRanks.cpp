// SPDX-License-Identifier: Apache-2.0
#include "runtime/collectives/nccl/GpuRanks.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <exception>
#include <future>
#include <thread>
#include <utility>

namespace vcc::runtime::cuda {

/// Of CUDA 12's time; calls may be captured, and faults have a text.
static constexpr int LeastVersion = 21800;

static void *pointer(Address address) { return reinterpret_cast<void *>(address); }

static std::string textOf(int version) { return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100); }

GpuRanks::GpuRanks(const CollectiveApi &api, const Gpu &gpu, World &world) : Api(api), Device(gpu), Size(world.size()) {
  // What one rank lacks all are told of, before they wait for each other in a library.
  std::string fault;
  CollectiveId id{};
  try {
    check(Api.version(&Version), "tell its version");
    if (Version < LeastVersion)
      throw Failure(Exit::Machine, fmt::format("NCCL is {}, but {} is needed at least", textOf(Version), textOf(LeastVersion)), "pip install nvidia-nccl-cu13");
    if (world.isFirst())
      check(Api.makeId(&id), "begin");
  } catch (const Failure &failure) {
    fault = failure.what();
    if (Size == 1)
      throw;
  }
  for (const std::string &text : world.gather(fault))
    if (!text.empty())
      throw Failure(Exit::Machine, text, "pip install nvidia-nccl-cu13, the same for all ranks; NCCL_DEBUG=WARN says more");
  world.broadcast(&id, sizeof id);
  Line = gpu.makeStream();
  Forked = gpu.makeEvent(), Done = gpu.makeEvent();
  check(Api.join(&Joined, Size, id, world.rank()), "join the ranks' GPUs");
}

GpuRanks::~GpuRanks() {
  if (Joined)
    Api.destroy(Joined);
}

void GpuRanks::abort(std::chrono::milliseconds patience) {
  Communicator joined = std::exchange(Joined, nullptr);
  if (!joined)
    return;
  std::promise<void> ended;
  std::future<void> end = ended.get_future();
  std::thread([call = Api.abort, joined, ended = std::move(ended)]() mutable {
    call(joined);
    ended.set_value();
  }).detach();
  end.wait_for(patience);
}

std::string GpuRanks::account() const { return fmt::format("NCCL {}, {} rank{}", textOf(Version), Size, Size == 1 ? "" : "s"); }

void GpuRanks::check(CollectiveResult result, const char *doing) const {
  if (result == CollectiveSuccess || result == CollectiveInProgress)
    return;
  const char *text = Api.errorText(result), *last = Api.lastError(Joined);
  std::string what = fmt::format("NCCL could not {}: {}{}{}", doing, text ? text : "no description", last && *last ? ", " : "", last ? last : "");
  const char *more = "NCCL_DEBUG=WARN says more";
  switch (result) {
  case CollectiveRemoteError:
    throw Failure(Exit::Machine, what, "another rank, or the network to it, is gone: its own message may say why");
  case CollectiveSystemError:
    throw Failure(Exit::Machine, what, fmt::format("the network, or shared memory (a container's /dev/shm), failed: {}", more));
  case CollectiveCudaError:
    Device.failIfLost(doing);
    throw Failure(Exit::Machine, what, fmt::format("the driver, or a GPU's memory, failed: {}", more));
  case CollectiveInvalidUsage:
    throw Failure(Exit::Machine, what, fmt::format("each rank needs a GPU of its own, and all the same version of NCCL: {}", more));
  default:
    throw Failure(Exit::Internal, what, more);
  }
}

void GpuRanks::check() const {
  CollectiveResult fault = CollectiveSuccess;
  check(Api.fault(Joined, &fault), "tell of faults");
  check(fault, "join the ranks");
}

void GpuRanks::fork() {
  Device.check(Device.api().recordEvent(Forked.get(), Device.compute()), "order what goes between ranks");
  Device.check(Device.api().waitEvent(Line.get(), Forked.get(), 0), "order what goes between ranks");
}

void GpuRanks::join() {
  Device.check(Device.api().recordEvent(Done.get(), Line.get()), "order what goes between ranks");
  Device.check(Device.api().waitEvent(Device.compute(), Done.get(), 0), "order what goes between ranks");
}

void GpuRanks::sum(const std::vector<FloatSpan> &spans) {
  check(Api.beginGroup(), "add gradients over ranks");
  CollectiveResult result = CollectiveSuccess;
  for (const FloatSpan &span : spans)
    if (result == CollectiveSuccess)
      result = Api.sum(pointer(span.begin), pointer(span.begin), span.count, CollectiveF32, CollectiveSummed, Joined, Line.get());
  CollectiveResult ended = Api.endGroup(); // a group that was begun has to end
  check(result, "add gradients over ranks");
  check(ended, "add gradients over ranks");
}

void GpuRanks::gather(Address from, Address to, uint64_t bytes) {
  check(Api.gather(pointer(from), pointer(to), bytes, CollectiveU8, Joined, Line.get()), "gather from all ranks");
}

void GpuRanks::sumParts(Address from, Address to, uint64_t count) {
  check(Api.sumParts(pointer(from), pointer(to), count, CollectiveF32, CollectiveSummed, Joined, Line.get()), "add parts over ranks");
}

} // namespace vcc::runtime::cuda
