// SPDX-License-Identifier: Apache-2.0
//
// The fake GPU of tests/runtime_cuda as a library by the names of NVIDIA's: what a program that vcc made loads, calls and computes, without
// a GPU. Kernels are the program's own PTX. A fault stays, as on a GPU; what it was is said on stderr.
#include "tests/ptx/Machine.h"
#include "tests/ptx/Meeting.h"
#include "tests/runtime_cuda/FakeAttention.h"
#include "tests/runtime_cuda/FakeGpu.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace vcc::runtime::cuda {

namespace {

class StandIn {
public:
  StandIn() {
    Gpu.name = "PTX on a CPU";
    Gpu.memory = size_t(64) << 30; // taken when it is written to
    Gpu.cubins = NoBinaryForGpu;
    Gpu.meet = [this](const CollectiveId &id, int ranks, int rank) { Others = std::make_unique<ptx::Meeting>(id.bytes, ranks, rank); };
    Gpu.exchange = [this](const void *mine, size_t bytes) { return Others->exchange(mine, bytes); };
    Gpu.load = [this](const char *image, char *log, size_t bytes) { return load(image, log, bytes); };
  }
  const DriverApi &driver() const { return Gpu.driver(); }
  const ProductApi &products() const { return Gpu.products(); }
  const CollectiveApi &collectives() const { return Gpu.collectives(); }
  const AttentionApi &attention() const { return Attention.api(); }

private:
  Result load(const char *image, char *log, size_t bytes) {
    try {
      for (const ptx::Entry *entry : Machine.load(image))
        Gpu.kernels[entry->name] = {entry->words, [this, entry](const uint64_t *words, unsigned blocks, unsigned threads) { run(*entry, words, blocks, threads); }};
    } catch (const std::runtime_error &error) {
      std::snprintf(log, log ? bytes : 0, "%s", error.what());
      return InvalidPtx;
    }
    return Success;
  }

  void run(const ptx::Entry &entry, const uint64_t *words, unsigned blocks, unsigned threads) {
    if (Faulted)
      return;
    std::vector<ptx::Span> memory;
    for (auto [begin, bytes] : Gpu.blocks())
      memory.push_back({begin, begin + bytes});
    try {
      Machine.run(entry, blocks, threads, words, memory);
    } catch (const ptx::Fault &fault) {
      std::fprintf(stderr, "GPU: %s\n", fault.why.c_str());
      Faulted = true;
      Gpu.failAt = int64_t(Gpu.calls.size()), Gpu.failWith = Result(fault.result), Gpu.stays = true;
    }
  }

  FakeGpu Gpu;
  FakeAttention Attention{Gpu};
  ptx::Machine Machine;
  std::unique_ptr<ptx::Meeting> Others;
  bool Faulted = false;
};

StandIn &standIn() {
  static StandIn one;
  return one;
}

/// A function as the table's, found when it is called.
template <auto Table, auto Member> struct Forward;
template <typename Api, const Api &(StandIn::*Table)() const, typename R, typename... A, R (*Api::*Member)(A...)>
struct Forward<Table, Member> {
  static R call(A... arguments) { return ((standIn().*Table)().*Member)(arguments...); }
};

} // namespace
} // namespace vcc::runtime::cuda

using namespace vcc::runtime::cuda;

// An exported symbol is what its resolver returns: so a function needs no names for its parameters.
#define VCC_EXPORT(TABLE, API, RESULT, MEMBER, SYMBOL, PARAMETERS)                                                              \
  extern "C" {                                                                                                                  \
  __attribute__((visibility("hidden"))) void *resolve_##SYMBOL() { return reinterpret_cast<void *>(&Forward<&StandIn::TABLE, &API::MEMBER>::call); }           \
  RESULT SYMBOL PARAMETERS __attribute__((ifunc("resolve_" #SYMBOL)));                                                          \
  }
#define VCC_EXPORT_DRIVER(MEMBER, SYMBOL, PARAMETERS) VCC_EXPORT(driver, DriverApi, Result, MEMBER, SYMBOL, PARAMETERS)
#define VCC_EXPORT_PRODUCT(MEMBER, SYMBOL, PARAMETERS) VCC_EXPORT(products, ProductApi, ProductResult, MEMBER, SYMBOL, PARAMETERS)
#define VCC_EXPORT_COLLECTIVE(MEMBER, SYMBOL, PARAMETERS) VCC_EXPORT(collectives, CollectiveApi, CollectiveResult, MEMBER, SYMBOL, PARAMETERS)
#define VCC_EXPORT_ATTENTION(MEMBER, SYMBOL, PARAMETERS) VCC_EXPORT(attention, AttentionApi, AttentionResult, MEMBER, SYMBOL, PARAMETERS)
VCC_DRIVER_CALLS(VCC_EXPORT_DRIVER)
VCC_PRODUCT_CALLS(VCC_EXPORT_PRODUCT)
VCC_EXPORT(products, ProductApi, size_t, version, cublasLtGetVersion, ())
VCC_COLLECTIVE_CALLS(VCC_EXPORT_COLLECTIVE)
VCC_EXPORT_COLLECTIVE(version, ncclGetVersion, (int *version))
VCC_EXPORT(collectives, CollectiveApi, const char *, errorText, ncclGetErrorString, (CollectiveResult result))
VCC_EXPORT(collectives, CollectiveApi, const char *, lastError, ncclGetLastError, (Communicator joined))
VCC_ATTENTION_CALLS(VCC_EXPORT_ATTENTION)
VCC_EXPORT(attention, AttentionApi, size_t, version, cudnnGetVersion, ())
VCC_EXPORT(attention, AttentionApi, const char *, resultText, cudnnGetErrorString, (AttentionResult result))
VCC_EXPORT(attention, AttentionApi, void, lastError, cudnnGetLastErrorString, (char *text, size_t bytes))
