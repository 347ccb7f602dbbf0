// SPDX-License-Identifier: Apache-2.0
//
// oneDNN 2.6 matmul. Its fast implementations want a unit stride in each operand; the rare operand without one is brought
// into a dense temporary by the library's own reorder.
#include "runtime/device/cpu/Gemm.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <vector>

namespace vcc::runtime {

namespace {

using dnnl::memory;

struct FreeAligned {
  void operator()(void *pointer) const { std::free(pointer); }
};
using Aligned = std::unique_ptr<void, FreeAligned>;

Aligned allocate(size_t bytes) {
  void *pointer = nullptr;
  if (posix_memalign(&pointer, 64, std::max<size_t>(bytes, 64)) != 0)
    throw std::bad_alloc();
  return Aligned(pointer);
}

/// A scratch block that grows to the largest request; memory objects are pointed at it before each run.
struct Scratch {
  Aligned block;
  size_t bytes = 0;
  void reserve(size_t wanted) {
    if (wanted <= bytes)
      return;
    block = allocate(wanted);
    bytes = wanted;
  }
};

/// A strided matrix, or a stack of them, as the launch describes it.
struct Operand {
  memory::dims dims, strides;
  bool hasUnitStride() const {
    size_t n = dims.size();
    return strides[n - 1] == 1 || strides[n - 2] == 1;
  }
  memory::desc desc() const { return memory::desc(dims, memory::data_type::f32, strides); }
  Operand transposed() const {
    Operand result = *this;
    size_t n = dims.size();
    std::swap(result.dims[n - 1], result.dims[n - 2]);
    std::swap(result.strides[n - 1], result.strides[n - 2]);
    return result;
  }
  Operand dense() const {
    Operand result{dims, memory::dims(dims.size())};
    int64_t stride = 1;
    for (size_t i = dims.size(); i-- > 0; stride *= dims[i])
      result.strides[i] = stride;
    return result;
  }
  /// Strides of size-1 dimensions mean nothing; they get the values of a dense layout, which the library recognises.
  void settleStrides() {
    size_t n = dims.size();
    if (dims[n - 1] == 1 && dims[n - 2] == 1)
      strides[n - 1] = strides[n - 2] = 1;
    else if (dims[n - 1] == 1 && strides[n - 2] != 1)
      strides[n - 1] = 1;
    else if (dims[n - 1] == 1)
      strides[n - 1] = dims[n - 2];
    else if (dims[n - 2] == 1 && strides[n - 1] != 1)
      strides[n - 2] = 1;
    else if (dims[n - 2] == 1)
      strides[n - 2] = dims[n - 1];
    int64_t span = std::max(strides[n - 1] * dims[n - 1], strides[n - 2] * dims[n - 2]);
    for (size_t i = n - 2; i-- > 0; span = std::max(span, strides[i] * dims[i]))
      if (dims[i] == 1)
        strides[i] = span;
  }
};

struct Problem {
  Operand a, b, c;
  bool bias = false, addend = false, accumulate = false, packB = false;
  int64_t activation = VCC_ACTIVATION_NONE;

  explicit Problem(const VccLaunch &launch);
  Problem transposed() const {
    Problem result = *this;
    result.a = b.transposed(), result.b = a.transposed(), result.c = c.transposed();
    return result;
  }
};

Problem::Problem(const VccLaunch &launch) {
  checkCounts(launch, 3, VCC_GEMM_INTS);
  const int64_t *ints = launch.ints;
  int64_t m = ints[VCC_GEMM_M], n = ints[VCC_GEMM_N], k = ints[VCC_GEMM_K];
  if (ints[VCC_GEMM_BATCH0] < 1 || ints[VCC_GEMM_BATCH1] < 1 || m < 1 || n < 1 || k < 1)
    failLaunch(launch, fmt::format("multiplies {} x {} by {} x {}", m, k, k, n));
  struct Batch {
    int64_t size, a, b, c;
  };
  std::vector<Batch> batches;
  for (int i : {0, 1})
    if (ints[VCC_GEMM_BATCH0 + i] > 1)
      batches.push_back({ints[VCC_GEMM_BATCH0 + i], ints[VCC_GEMM_A_BATCH0 + i],
                         ints[VCC_GEMM_B_BATCH0 + i], ints[VCC_GEMM_C_BATCH0 + i]});
  // A stack of left-hand sides with one right-hand side is one taller product.
  while (!batches.empty() && batches.back().b == 0 &&
         batches.back().a == m * ints[VCC_GEMM_A_M] && batches.back().c == m * ints[VCC_GEMM_C_M]) {
    m *= batches.back().size;
    batches.pop_back();
  }
  for (const Batch &batch : batches) {
    // A stride of zero is a broadcast, which the library spells as size 1.
    a.dims.push_back(batch.a == 0 ? 1 : batch.size), a.strides.push_back(batch.a);
    b.dims.push_back(batch.b == 0 ? 1 : batch.size), b.strides.push_back(batch.b);
    c.dims.push_back(batch.size), c.strides.push_back(batch.c);
  }
  auto finish = [](Operand &operand, int64_t rows, int64_t columns, int64_t row, int64_t column) {
    operand.dims.insert(operand.dims.end(), {rows, columns});
    operand.strides.insert(operand.strides.end(), {row, column});
    operand.settleStrides();
  };
  finish(a, m, k, ints[VCC_GEMM_A_M], ints[VCC_GEMM_A_K]);
  finish(b, k, n, ints[VCC_GEMM_B_K], ints[VCC_GEMM_B_N]);
  finish(c, m, n, ints[VCC_GEMM_C_M], ints[VCC_GEMM_C_N]);
  auto present = [&](uint64_t i) {
    return i < launch.buffer_count && launch.buffers[i].region != VCC_REGION_NONE;
  };
  bias = present(3), addend = present(4);
  accumulate = ints[VCC_GEMM_ACCUMULATE] != 0;
  activation = ints[VCC_GEMM_ACTIVATION];
  packB = ints[VCC_GEMM_PACK_B] != 0 && launch.buffers[1].region == VCC_REGION_WEIGHTS;
}

dnnl::primitive_attr attributesOf(const VccLaunch &launch, const Problem &problem,
                                  const memory::desc &c) {
  dnnl::post_ops epilogue;
  if (problem.accumulate)
    epilogue.append_sum(1.0f);
  if (problem.addend)
    epilogue.append_binary(dnnl::algorithm::binary_add, c);
  if (problem.activation == VCC_ACTIVATION_GELU_ERF)
    epilogue.append_eltwise(1.0f, dnnl::algorithm::eltwise_gelu_erf, 0, 0);
  else if (problem.activation == VCC_ACTIVATION_SILU)
    epilogue.append_eltwise(1.0f, dnnl::algorithm::eltwise_swish, 1.0f, 0);
  else if (problem.activation != VCC_ACTIVATION_NONE)
    failLaunch(launch, fmt::format("has activation {}", problem.activation));
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(epilogue);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

bool isSlow(const dnnl::matmul::primitive_desc &description) {
  return std::strstr(description.impl_info_str(), "ref") != nullptr;
}

} // namespace

struct Packed {
  memory::desc plain, desc;
  Aligned data;
  bool filled = false;
};

struct Gemms::Shared {
  explicit Shared(const StageMemory &memory)
      : Memory(memory), Engine(dnnl::engine::kind::cpu, 0), Stream(Engine) {}
  const StageMemory &Memory;
  dnnl::engine Engine;
  dnnl::stream Stream;
  Scratch Library, Copies;
  std::multimap<uint64_t, std::shared_ptr<Packed>> PackedByOffset;
  uint64_t PackedBytes = 0;

  /// Launches that read one frozen weight by the same strides in one layout share its packed copy. A square matrix and
  /// its transpose have packed descriptions that are equal, hence the plain one is compared too.
  std::shared_ptr<Packed> pack(uint64_t offset, const memory::desc &plain, const memory::desc &desc) {
    auto [first, last] = PackedByOffset.equal_range(offset);
    for (auto it = first; it != last; ++it)
      if (it->second->plain == plain && it->second->desc == desc)
        return it->second;
    auto packed = std::make_shared<Packed>();
    packed->plain = plain;
    packed->desc = desc;
    packed->data = allocate(desc.get_size());
    PackedBytes += desc.get_size();
    PackedByOffset.emplace(offset, packed);
    return packed;
  }
};

namespace {

class GemmLaunch final : public Launch {
public:
  GemmLaunch(const VccLaunch &launch, Gemms::Shared &shared) : S(shared) {
    Problem problem(launch);
    std::byte *address[5] = {};
    for (uint64_t i = 0; i < std::min<uint64_t>(launch.buffer_count, 5); ++i)
      address[i] = S.Memory.resolve(launch.buffers[i]);
    // A transposed result is the product of the transposes, where no bias runs along its rows.
    if (problem.c.strides.back() != 1 && problem.c.hasUnitStride() && !problem.bias) {
      problem = problem.transposed();
      std::swap(address[0], address[1]);
      problem.packB = false;
    }
    build(launch, problem, address);
  }

  void run() override {
    if (Packing && !Packing->filled) {
      dnnl::reorder(PlainB, PackedB).execute(S.Stream, PlainB, PackedB);
      Packing->filled = true;
    }
    Scratchpad.set_data_handle(S.Library.block.get());
    size_t offset = 0;
    for (Copy &copy : Copies) {
      copy.dense.set_data_handle(static_cast<std::byte *>(S.Copies.block.get()) + offset);
      offset += (copy.dense.get_desc().get_size() + 63) / 64 * 64;
      if (copy.reads)
        dnnl::reorder(copy.given, copy.dense).execute(S.Stream, copy.given, copy.dense);
    }
    dnnl::error::wrap_c_api(dnnl_primitive_execute(Primitive.get(), S.Stream.get(),
                                                   int(Arguments.size()), Arguments.data()),
                            "could not run a matrix product");
    for (Copy &copy : Copies)
      if (copy.writes)
        dnnl::reorder(copy.dense, copy.given).execute(S.Stream, copy.dense, copy.given);
  }

private:
  struct Copy {
    memory given, dense;
    bool reads, writes;
  };

  dnnl::matmul::primitive_desc describe(const VccLaunch &launch, const Problem &problem,
                                        bool anyB) {
    memory::desc c = problem.c.desc(), b = problem.b.desc();
    if (anyB)
      b = memory::desc(problem.b.dims, memory::data_type::f32, memory::format_tag::any);
    dnnl::primitive_attr attributes = attributesOf(launch, problem, c);
    if (!problem.bias)
      return {dnnl::matmul::desc(problem.a.desc(), b, c), attributes, S.Engine};
    return {dnnl::matmul::desc(problem.a.desc(), b, biasDesc(problem), c), attributes, S.Engine};
  }

  static memory::desc biasDesc(const Problem &problem) {
    Operand bias{memory::dims(problem.c.dims.size(), 1), {}};
    bias.dims.back() = problem.c.dims.back();
    return bias.dense().desc();
  }

  memory at(const memory::desc &desc, std::byte *address) { return {desc, S.Engine, address}; }

  void add(int argument, memory object) {
    Objects.push_back(object);
    Arguments.push_back({argument, object.get()});
  }

  /// An operand as the library takes it: where it lies, or through a dense temporary.
  memory operand(const Operand &given, const Operand &used, std::byte *address, bool reads,
                 bool writes) {
    if (given.strides == used.strides)
      return at(used.desc(), address);
    Copies.push_back({at(given.desc(), address), memory(used.desc(), S.Engine, nullptr), reads, writes});
    return Copies.back().dense;
  }

  void build(const VccLaunch &launch, Problem problem, std::byte *const *address) {
    Problem used = problem;
    auto description = describe(launch, used, false);
    if (isSlow(description)) {
      for (Operand *operand : {&used.a, &used.b})
        if (!operand->hasUnitStride())
          *operand = operand->dense();
      if (used.c.strides.back() != 1)
        used.c = used.c.dense();
      description = describe(launch, used, false);
    }
    if (isSlow(description)) {
      used.a = used.a.dense(), used.b = used.b.dense(), used.c = used.c.dense();
      description = describe(launch, used, false);
    }
    if (problem.packB && problem.b.dims.size() == 2) {
      auto packed = describe(launch, used, true);
      if (!isSlow(packed) && packed.weights_desc() != used.b.desc()) {
        description = packed;
        Packing = S.pack(launch.buffers[1].offset, problem.b.desc(), packed.weights_desc());
        PlainB = at(problem.b.desc(), address[1]);
        PackedB = memory(packed.weights_desc(), S.Engine, Packing->data.get());
      }
    }
    Primitive = dnnl::matmul(description);
    add(DNNL_ARG_SRC, operand(problem.a, used.a, address[0], true, false));
    add(DNNL_ARG_WEIGHTS, Packing ? PackedB : operand(problem.b, used.b, address[1], true, false));
    add(DNNL_ARG_DST, operand(problem.c, used.c, address[2], problem.accumulate, true));
    if (problem.bias)
      add(DNNL_ARG_BIAS, at(biasDesc(problem), address[3]));
    if (problem.addend)
      add(DNNL_ARG_ATTR_MULTIPLE_POST_OP(problem.accumulate ? 1 : 0) | DNNL_ARG_SRC_1,
          operand(problem.c, used.c, address[4], true, false));
    Scratchpad = memory(description.scratchpad_desc(), S.Engine, nullptr);
    add(DNNL_ARG_SCRATCHPAD, Scratchpad);
    S.Library.reserve(description.scratchpad_desc().get_size());
    size_t copies = 0;
    for (Copy &copy : Copies)
      copies += (copy.dense.get_desc().get_size() + 63) / 64 * 64;
    S.Copies.reserve(copies);
  }

  Gemms::Shared &S;
  dnnl::matmul Primitive;
  std::vector<memory> Objects;
  std::vector<dnnl_exec_arg_t> Arguments;
  std::vector<Copy> Copies;
  std::shared_ptr<Packed> Packing;
  memory PlainB, PackedB, Scratchpad;
};

} // namespace

namespace {

/// Whether the library can describe an operand: each stride steps over all that the smaller ones reach, counted by whole
/// strides. Batches that lie between each other's rows do not.
bool isNested(std::vector<std::pair<int64_t, int64_t>> steps) { // (stride, size)
  std::erase_if(steps, [](const auto &step) { return step.second == 1 || step.first == 0; });
  std::sort(steps.begin(), steps.end());
  for (size_t i = 1; i < steps.size(); ++i)
    if (steps[i].first < steps[i - 1].first * steps[i - 1].second)
      return false;
  return true;
}

bool isDescribable(const int64_t *ints) {
  int64_t batch0 = ints[VCC_GEMM_BATCH0], batch1 = ints[VCC_GEMM_BATCH1];
  int64_t m = ints[VCC_GEMM_M], n = ints[VCC_GEMM_N], k = ints[VCC_GEMM_K];
  auto fits = [&](int first, int64_t rows, int64_t columns) {
    return isNested({{ints[first], batch0}, {ints[first + 1], batch1}, {ints[first + 2], rows}, {ints[first + 3], columns}});
  };
  return fits(VCC_GEMM_A_BATCH0, m, k) && fits(VCC_GEMM_B_BATCH0, k, n) && fits(VCC_GEMM_C_BATCH0, m, n);
}

/// The products of a stack one after the other.
class GemmStack final : public Launch {
public:
  GemmStack(const VccLaunch &launch, Gemms &gemms) {
    int outer = launch.ints[VCC_GEMM_BATCH0] > 1 ? 0 : 1;
    for (int64_t i = 0; i < launch.ints[VCC_GEMM_BATCH0 + outer]; ++i) {
      std::vector<int64_t> ints(launch.ints, launch.ints + launch.int_count);
      std::vector<VccBuffer> buffers(launch.buffers, launch.buffers + launch.buffer_count);
      ints[size_t(VCC_GEMM_BATCH0 + outer)] = 1;
      int strides[] = {VCC_GEMM_A_BATCH0, VCC_GEMM_B_BATCH0, VCC_GEMM_C_BATCH0, -1, VCC_GEMM_C_BATCH0};
      for (size_t operand = 0; operand < std::min<size_t>(buffers.size(), 5); ++operand)
        if (strides[operand] >= 0)
          buffers[operand].offset += uint64_t(i * launch.ints[strides[operand] + outer]) * sizeof(float);
      VccLaunch one = launch;
      one.ints = ints.data(), one.buffers = buffers.data();
      Products.push_back(gemms.make(one));
    }
  }
  void run() override {
    for (auto &product : Products)
      product->run();
  }

private:
  std::vector<std::unique_ptr<Launch>> Products;
};

} // namespace

Gemms::Gemms(const StageMemory &memory) : State(std::make_unique<Shared>(memory)) {
  dnnl::set_primitive_cache_capacity(4096);
}
Gemms::~Gemms() = default;

std::unique_ptr<Launch> Gemms::make(const VccLaunch &launch) {
  checkCounts(launch, 3, VCC_GEMM_INTS);
  bool isStack = launch.ints[VCC_GEMM_BATCH0] > 1 || launch.ints[VCC_GEMM_BATCH1] > 1;
  if (isStack && !isDescribable(launch.ints))
    return std::make_unique<GemmStack>(launch, *this);
  try {
    return std::make_unique<GemmLaunch>(launch, *State);
  } catch (const dnnl::error &error) {
    failLaunch(launch, fmt::format("is refused by oneDNN: {}", error.what()));
  }
}

uint64_t Gemms::packedBytes() const { return State->PackedBytes; }

void Gemms::weightsChanged() {
  for (auto &[offset, packed] : State->PackedByOffset)
    packed->filled = false;
}

} // namespace vcc::runtime
