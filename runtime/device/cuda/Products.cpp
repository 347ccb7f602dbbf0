// SPDX-License-Identifier: Apache-2.0
//
// Descriptions live as long as the launch. Alpha and beta are read on the host when a product is enqueued; the bias' address is
// part of the description.
#include "runtime/device/cuda/Products.h"

#include "runtime/device/LaunchFaults.h"
#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace vcc::runtime::cuda {

namespace {

/// The library is told how its four matrices are aligned, but not a bias, which some of its kernels read in whole 16 bytes.
constexpr uint64_t BiasAlignment = 16;

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
  ProductLaunch(const VccLaunch &launch, Products &products, const Regions &regions, const ProductWay &way)
      : P(products), Launch(launch), Shape(shapeOf(launch)), Of(operandsOf(launch, Shape, regions, way)), Workspace(regions.workspace()) {
    if (Of.bias % BiasAlignment)
      moveBias();
    describe();
    choose(regions, way);
  }

  void enqueue(Stream stream) override {
    if (Moved)
      P.Device.check(P.Device.api().copyOnDevice(Of.bias, Moved, size_t(Shape.d.rows * Of.outputBytes()), stream), "copy on the GPU");
    ProductResult status = put(Algorithms->front(), Of.result, Of.added, stream);
    // The library may not do what it proposed. It says so before anything is done, and for the first time when nothing is captured.
    while (status == ProductNotSupported && !Begun && Algorithms->size() > 1) {
      Algorithms->erase(Algorithms->begin());
      status = put(Algorithms->front(), Of.result, Of.added, stream);
    }
    P.check(status, Launch, "enqueue a matrix product");
  }

private:
  /// To the front of the workspace, each time anew.
  void moveBias() {
    uint64_t taken = (uint64_t(Shape.d.rows * Of.outputBytes()) + 255) / 256 * 256;
    if (taken > WorkspaceLeft)
      failLaunch(Launch, fmt::format("has a bias of {} numbers that does not begin at a multiple of {} bytes", Shape.d.rows, BiasAlignment));
    Moved = std::exchange(Of.bias, Workspace);
    Workspace += taken, WorkspaceLeft -= taken;
  }

  ProductResult put(const ProductAlgorithm &algorithm, Address result, Address added, Stream stream) {
    const float alpha = 1.0f;
    for (int64_t i = 0; i < Shape.outer; ++i) {
      Begun = i > 0;
      auto skipped = uint64_t(i * Shape.outerD * Of.outputBytes());
      ProductResult status = P.Api.multiply(
          P.Handle, Kind.get(), &alpha, pointer(Of.a + uint64_t(i * Shape.outerA * Of.inputBytes())), A.get(),
          pointer(Of.b + uint64_t(i * Shape.outerB * Of.inputBytes())), B.get(), &Of.beta, pointer(added + skipped), D.get(),
          const_cast<void *>(pointer(result + skipped)), D.get(), &algorithm, const_cast<void *>(pointer(Workspace)), WorkspaceLeft, stream);
      if (status != ProductSuccess)
        return status;
    }
    return ProductSuccess;
  }

  void layout(Described<MatrixLayout> &layout, const StoredMatrix &matrix, ElementKind type) {
    P.check(P.Api.createLayout(layout.out(P.Api.destroyLayout), type, uint64_t(matrix.rows), uint64_t(matrix.columns), matrix.stride), Launch,
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
    layout(A, Shape.a, Of.input), layout(B, Shape.b, Of.input), layout(D, Shape.d, Of.output);
    P.check(P.Api.createKind(Kind.out(P.Api.destroyKind), Of.compute, ElementF32), Launch, "describe a matrix product");
    int32_t turnA = Shape.a.transposed, turnB = Shape.b.transposed; // CUBLAS_OP_N is 0, CUBLAS_OP_T is 1
    kind(KindTransposeA, &turnA, sizeof turnA), kind(KindTransposeB, &turnB, sizeof turnB);
    if (Of.bias) {
      uint32_t epilogue = EpilogueBias;
      const void *bias = pointer(Of.bias);
      int32_t type = Of.output;
      kind(KindEpilogue, &epilogue, sizeof epilogue), kind(KindBias, &bias, sizeof bias), kind(KindBiasType, &type, sizeof type);
    }
  }

  /// Of all the places that the outer products start at.
  uint32_t alignment(Address first, int64_t stepBytes) const {
    uint32_t least = alignmentOf(first);
    for (int64_t i = 1; i < Shape.outer; ++i)
      least = std::min(least, alignmentOf(first + uint64_t(i * stepBytes)));
    return least;
  }

  void choose(const Regions &regions, const ProductWay &way) {
    int64_t stepD = Shape.outerD * Of.outputBytes();
    uint32_t alignments[] = {alignment(Of.a, Shape.outerA * Of.inputBytes()), alignment(Of.b, Shape.outerB * Of.inputBytes()),
                             alignment(Of.added, stepD), alignment(Of.result, stepD)};
    std::vector<int64_t> key = {int64_t(WorkspaceLeft), Shape.batch, Of.bias != 0, Of.beta != 0, Of.added == Of.result, Of.input, Of.output, Of.compute};
    for (const StoredMatrix &matrix : {Shape.a, Shape.b, Shape.d})
      for (int64_t number : {matrix.rows, matrix.columns, matrix.stride, int64_t(matrix.transposed), matrix.batchStride})
        key.push_back(number);
    key.insert(key.end(), std::begin(alignments), std::end(alignments));
    if (auto known = P.Chosen.find(key); known != P.Chosen.end()) {
      Algorithms = &known->second;
      return;
    }
    std::vector<ProductChoice> choices = proposed(alignments, ProductsMeasured);
    const ProductChoice &taken = way.measured ? fastest(choices, regions) : choices.front();
    std::vector<ProductAlgorithm> order = {taken.algorithm};
    for (const ProductChoice &choice : choices)
      if (&choice != &taken)
        order.push_back(choice.algorithm);
    Algorithms = &P.Chosen.emplace(std::move(key), std::move(order)).first->second;
  }

  /// The library's proposals that keep to the workspace, the best first as it thinks.
  std::vector<ProductChoice> proposed(const uint32_t (&alignments)[4], int wanted) {
    Described<ProductWishes> wishes;
    P.check(P.Api.createWishes(wishes.out(P.Api.destroyWishes)), Launch, "ask for an algorithm");
    auto wish = [&](WishAttribute attribute, const void *value, size_t bytes) {
      P.check(P.Api.setWish(wishes.get(), attribute, value, bytes), Launch, "ask for an algorithm");
    };
    wish(WishWorkspace, &WorkspaceLeft, sizeof WorkspaceLeft);
    WishAttribute names[] = {WishAlignmentA, WishAlignmentB, WishAlignmentC, WishAlignmentD};
    for (int i = 0; i < 4; ++i)
      wish(names[i], &alignments[i], sizeof alignments[i]);
    std::vector<ProductChoice> choices(static_cast<size_t>(wanted));
    int found = 0;
    ProductResult result =
        P.Api.choose(P.Handle, Kind.get(), A.get(), B.get(), D.get(), D.get(), wishes.get(), wanted, choices.data(), &found);
    choices.resize(static_cast<size_t>(std::clamp(found, 0, wanted)));
    std::erase_if(choices, [this](const ProductChoice &choice) { return choice.state != ProductSuccess || choice.workspace > WorkspaceLeft; });
    P.check(result == ProductSuccess && choices.empty() ? ProductNotSupported : result, Launch, "choose an algorithm for a matrix product");
    return choices;
  }

  /// Bytes from the result's first element to behind its last.
  uint64_t resultBytes() const {
    int64_t last = (Shape.outer - 1) * Shape.outerD + (Shape.batch - 1) * Shape.d.batchStride + (Shape.d.columns - 1) * Shape.d.stride + Shape.d.rows;
    return uint64_t(last * Of.outputBytes());
  }

  /// Each runs once unmeasured and then some times; the first of equals. Results are written to the arena, whose content lasts no longer
  /// than a function: what is in weights or state is not touched. Where the arena is too small for that, nothing is measured.
  const ProductChoice &fastest(const std::vector<ProductChoice> &choices, const Regions &regions) {
    constexpr int Rounds = 5;
    uint32_t region = Launch.buffers[2].region;
    bool passing = region == VCC_REGION_ARENA || region == VCC_REGION_IO;
    if (choices.size() < 2 || (!passing && resultBytes() > regions.size(VCC_REGION_ARENA)))
      return choices.front();
    Address result = passing ? Of.result : regions.at(VCC_REGION_ARENA, 0), added = Of.added == Of.result ? result : Of.added;
    const Gpu &gpu = P.Device;
    Owned<Event> begin = gpu.makeTimer(), end = gpu.makeTimer();
    const ProductChoice *best = nullptr;
    double least = 0;
    for (const ProductChoice &choice : choices) {
      ProductResult status = put(choice.algorithm, result, added, gpu.compute());
      if (status == ProductNotSupported)
        continue;
      P.check(status, Launch, "measure a matrix product");
      gpu.check(gpu.api().recordEvent(begin.get(), gpu.compute()), "measure a matrix product");
      for (int round = 0; round < Rounds; ++round)
        P.check(put(choice.algorithm, result, added, gpu.compute()), Launch, "measure a matrix product");
      gpu.check(gpu.api().recordEvent(end.get(), gpu.compute()), "measure a matrix product");
      gpu.check(gpu.api().synchronizeEvent(end.get()), "measure a matrix product");
      double seconds = gpu.seconds(begin.get(), end.get());
      if (!best || seconds < least)
        best = &choice, least = seconds;
    }
    return best ? *best : choices.front();
  }

  Products &P;
  const VccLaunch &Launch;
  ProductShape Shape;
  ProductOperands Of;
  Address Workspace, Moved = 0; // where a bias lies that is not where the library can read it
  uint64_t WorkspaceLeft = WorkspaceBytes;
  Described<MatrixLayout> A, B, D;
  Described<ProductKind> Kind;
  std::vector<ProductAlgorithm> *Algorithms = nullptr; // of the shape
  bool Begun = false; // some of the outer products have been put into a stream
};

Products::Products(const ProductApi &api, const Gpu &gpu) : Api(api), Device(gpu) {
  if (ProductResult result = Api.create(&Handle); result != ProductSuccess) {
    gpu.failIfLost("start cuBLASLt");
    throw Failure(result == ProductAllocFailed ? Exit::Memory : Exit::Machine,
                  fmt::format("cuBLASLt cannot start on the {} (status {})", gpu.name(), int(result)),
                  "its version must fit the driver's: cuBLASLt 13 needs a driver of R580 or newer, 12 one of R525");
  }
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
  if (result != ProductNotSupported)
    Device.failIfLost(fmt::format("{} of `{}`", doing, launch.name ? launch.name : "?"));
  throw Failure(Exit::Internal, what, version() + " was used; another version may do it");
}

std::string Products::version() const {
  size_t version = Api.version();
  // 13 and 12.x: major * 10000 + minor * 100 + patch.
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::unique_ptr<Enqueued> Products::make(const VccLaunch &launch, const Regions &regions, const ProductWay &way) {
  return std::make_unique<ProductLaunch>(launch, *this, regions, way);
}

} // namespace vcc::runtime::cuda
