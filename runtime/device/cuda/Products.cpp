// SPDX-License-Identifier: Apache-2.0
//
// Descriptions live as long as the launch. Alpha and beta are read on the host when a product is enqueued; the bias' address is
// part of the description.
#include "runtime/device/cuda/Products.h"

#include "runtime/device/LaunchFaults.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::cuda {

namespace {

/// The largest power of two, up to 256, that divides an address.
uint32_t alignmentOf(Address address) {
  uint32_t alignment = 256;
  while (address % alignment)
    alignment /= 2;
  return alignment;
}

/// A description and the call that ends it.
template <typename T>
class Described {
public:
  Described() = default;
  Described(const Described &) = delete;
  ~Described() {
    if (Value)
      Drop(Value);
  }
  T *out(ProductResult (*drop)(T)) {
    Drop = drop;
    return &Value;
  }
  T get() const { return Value; }

private:
  T Value = nullptr;
  ProductResult (*Drop)(T) = nullptr;
};

const void *pointer(Address address) { return reinterpret_cast<const void *>(address); }

} // namespace

class ProductLaunch final : public Enqueued {
public:
  ProductLaunch(const VccLaunch &launch, Products &products, const Regions &regions)
      : P(products), Launch(launch), Shape(shapeOf(launch)), Workspace(regions.workspace()) {
    if (launch.ints[VCC_GEMM_ACTIVATION] != VCC_ACTIVATION_NONE)
      failLaunch(launch, fmt::format("has activation {}, which is a kernel of its own on a GPU", launch.ints[VCC_GEMM_ACTIVATION]));
    for (uint64_t i = 0; i < std::min<uint64_t>(launch.buffer_count, 5); ++i) {
      if (launch.buffers[i].region != VCC_REGION_NONE && launch.buffers[i].element_bytes != sizeof(float))
        failLaunch(launch, fmt::format("multiplies elements of {} bytes; programs for a GPU multiply f32 alone so far",
                                       launch.buffers[i].element_bytes));
      At[i] = regions.resolve(launch.buffers[i]);
    }
    if (Shape.swapped)
      std::swap(At[0], At[1]);
    bool accumulates = launch.ints[VCC_GEMM_ACCUMULATE] != 0;
    if (accumulates && At[4])
      failLaunch(launch, "adds to its result and an addend at once, which cuBLASLt cannot");
    Beta = accumulates || At[4] ? 1.0f : 0.0f;
    Added = At[4] ? At[4] : At[2];
    describe();
    choose();
  }

  void enqueue(Stream stream) override {
    const float alpha = 1.0f;
    for (int64_t i = 0; i < Shape.outer; ++i) {
      Address skipped = uint64_t(i * Shape.outerD) * sizeof(float);
      ProductResult result = P.Api.multiply(
          P.Handle, Kind.get(), &alpha, pointer(At[0] + uint64_t(i * Shape.outerA) * sizeof(float)), A.get(),
          pointer(At[1] + uint64_t(i * Shape.outerB) * sizeof(float)), B.get(), &Beta, pointer(Added + skipped), D.get(),
          const_cast<void *>(pointer(At[2] + skipped)), D.get(), &Algorithm, const_cast<void *>(pointer(Workspace)), WorkspaceBytes, stream);
      P.check(result, Launch, "enqueue a matrix product");
    }
  }

private:
  void layout(Described<MatrixLayout> &layout, const StoredMatrix &matrix) {
    P.check(P.Api.createLayout(layout.out(P.Api.destroyLayout), ElementF32, uint64_t(matrix.rows), uint64_t(matrix.columns), matrix.stride), Launch,
            "describe a matrix");
    int32_t count = int32_t(Shape.batch);
    P.check(P.Api.setLayout(layout.get(), LayoutBatchCount, &count, sizeof count), Launch, "describe a stack of matrices");
    P.check(P.Api.setLayout(layout.get(), LayoutBatchStride, &matrix.batchStride, sizeof matrix.batchStride), Launch,
            "describe a stack of matrices");
  }

  void kind(KindAttribute attribute, const void *value, size_t bytes) {
    P.check(P.Api.setKind(Kind.get(), attribute, value, bytes), Launch, "describe a matrix product");
  }

  void describe() {
    layout(A, Shape.a), layout(B, Shape.b), layout(D, Shape.d);
    P.check(P.Api.createKind(Kind.out(P.Api.destroyKind), ComputeF32, ElementF32), Launch, "describe a matrix product");
    int32_t turnA = Shape.a.transposed, turnB = Shape.b.transposed; // CUBLAS_OP_N is 0, CUBLAS_OP_T is 1
    kind(KindTransposeA, &turnA, sizeof turnA), kind(KindTransposeB, &turnB, sizeof turnB);
    if (At[3]) {
      uint32_t epilogue = EpilogueBias;
      const void *bias = pointer(At[3]);
      kind(KindEpilogue, &epilogue, sizeof epilogue), kind(KindBias, &bias, sizeof bias);
    }
  }

  /// Of all the places that the outer products start at.
  uint32_t alignment(Address first, int64_t step) const {
    uint32_t least = alignmentOf(first);
    for (int64_t i = 1; i < Shape.outer; ++i)
      least = std::min(least, alignmentOf(first + uint64_t(i * step) * sizeof(float)));
    return least;
  }

  void choose() {
    uint32_t alignments[] = {alignment(At[0], Shape.outerA), alignment(At[1], Shape.outerB), alignment(Added, Shape.outerD),
                             alignment(At[2], Shape.outerD)};
    std::vector<int64_t> key = {Shape.batch, At[3] != 0, Beta != 0, Added == At[2]};
    for (const StoredMatrix &matrix : {Shape.a, Shape.b, Shape.d})
      for (int64_t number : {matrix.rows, matrix.columns, matrix.stride, int64_t(matrix.transposed), matrix.batchStride})
        key.push_back(number);
    key.insert(key.end(), std::begin(alignments), std::end(alignments));
    if (auto known = P.Chosen.find(key); known != P.Chosen.end()) {
      Algorithm = known->second;
      return;
    }
    Described<ProductWishes> wishes;
    P.check(P.Api.createWishes(wishes.out(P.Api.destroyWishes)), Launch, "ask for an algorithm");
    auto wish = [&](WishAttribute attribute, const void *value, size_t bytes) {
      P.check(P.Api.setWish(wishes.get(), attribute, value, bytes), Launch, "ask for an algorithm");
    };
    uint64_t workspace = WorkspaceBytes;
    wish(WishWorkspace, &workspace, sizeof workspace);
    WishAttribute names[] = {WishAlignmentA, WishAlignmentB, WishAlignmentC, WishAlignmentD};
    for (int i = 0; i < 4; ++i)
      wish(names[i], &alignments[i], sizeof alignments[i]);
    ProductChoice choice{};
    int found = 0;
    ProductResult result = P.Api.choose(P.Handle, Kind.get(), A.get(), B.get(), D.get(), D.get(), wishes.get(), 1, &choice, &found);
    if (result == ProductSuccess && (found < 1 || choice.state != ProductSuccess || choice.workspace > WorkspaceBytes))
      result = ProductNotSupported;
    P.check(result, Launch, "choose an algorithm for a matrix product");
    Algorithm = choice.algorithm;
    P.Chosen.emplace(std::move(key), Algorithm);
  }

  Products &P;
  const VccLaunch &Launch;
  ProductShape Shape;
  Address Workspace, At[5] = {}, Added = 0; // a, b (as the library takes them), result, bias, addend
  float Beta = 0;
  Described<MatrixLayout> A, B, D;
  Described<ProductKind> Kind;
  ProductAlgorithm Algorithm{};
};

Products::Products(const ProductApi &api, const Gpu &gpu) : Api(api) {
  if (ProductResult result = Api.create(&Handle); result != ProductSuccess)
    throw Failure(result == ProductAllocFailed ? Exit::Memory : Exit::Machine,
                  fmt::format("cuBLASLt cannot start on the {} (status {})", gpu.name(), int(result)),
                  "its version must fit the driver's: cuBLASLt 13 needs a driver of R580 or newer, 12 one of R525");
}

Products::~Products() {
  if (Handle)
    Api.destroy(Handle);
}

void Products::check(ProductResult result, const VccLaunch &launch, const char *doing) const {
  if (result == ProductSuccess)
    return;
  std::string what = fmt::format("could not {} of `{}`: cuBLASLt's status {}{}", doing, launch.name ? launch.name : "?", int(result),
                                 result == ProductNotSupported ? ", not supported" : "");
  if (result == ProductAllocFailed)
    throw Failure(Exit::Memory, what, "the GPU has no memory left beside the program's: fewer rows per batch, or nobody else on the GPU");
  if (result == ProductArchMismatch)
    throw Failure(Exit::Machine, what, "this cuBLASLt does not know this GPU: take a newer one");
  throw Failure(Exit::Internal, what, version() + " was used; another version may do it");
}

std::string Products::version() const {
  size_t version = Api.version();
  // 13 and 12.x: major * 10000 + minor * 100 + patch.
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::unique_ptr<Enqueued> Products::make(const VccLaunch &launch, const Regions &regions) {
  return std::make_unique<ProductLaunch>(launch, *this, regions);
}

} // namespace vcc::runtime::cuda
