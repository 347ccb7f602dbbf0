// SPDX-License-Identifier: Apache-2.0
//
// Products of the launch table as cuBLASLt is asked for them, against naive loops over the table's own strides.
#include "runtime/device/cuda/Products.h"
#include "runtime/program/Failure.h"
#include "tests/Seed.h"
#include "tests/runtime_cuda/FakeGpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

namespace vcc::runtime::cuda {
namespace {

using testing::HasSubstr;

enum Layout { Rows, Columns };

/// A stack of matrices with batches outside, or interleaved with the rows as heads are.
struct Operand {
  int64_t batch0, batch1, row, column, elements;
};
Operand operand(int64_t batch0, int64_t batch1, int64_t rows, int64_t columns, Layout layout, bool interleaved, bool shared = false) {
  int64_t pad = 3;
  Operand made{};
  if (interleaved && layout == Rows) // [batch0, rows, batch1, columns]
    made = {rows * batch1 * columns, columns, batch1 * columns, 1, batch0 * rows * batch1 * columns};
  else if (layout == Rows)
    made = {batch1 * rows * (columns + pad), rows * (columns + pad), columns + pad, 1, batch0 * batch1 * rows * (columns + pad)};
  else
    made = {batch1 * columns * (rows + pad), columns * (rows + pad), 1, rows + pad, batch0 * batch1 * columns * (rows + pad)};
  if (shared)
    made.batch0 = made.batch1 = 0;
  return made;
}

struct Case {
  int64_t batch0 = 1, batch1 = 1, m = 5, n = 7, k = 4;
  Layout a = Rows, b = Rows, c = Rows;
  bool interleaved = false, shared = false, bias = false, addend = false, accumulate = false;
  uint32_t input = VCC_ELEMENT_F32, output = VCC_ELEMENT_F32;
  bool tf32 = false;
  uint64_t shift = 0; // elements that the operands lie behind a multiple of 64 bytes
};

float read(const std::byte *memory, uint32_t element, uint64_t index) {
  uint32_t bits = 0, bytes = vcc_element_bytes(element);
  if (element == VCC_ELEMENT_F16) {
    _Float16 half;
    std::memcpy(&half, memory + index * bytes, bytes);
    return float(half);
  }
  std::memcpy(reinterpret_cast<char *>(&bits) + (4 - bytes), memory + index * bytes, bytes);
  return std::bit_cast<float>(bits);
}

ElementKind kindOf(uint32_t element) { return element == VCC_ELEMENT_F16 ? ElementF16 : element == VCC_ELEMENT_BF16 ? ElementBf16 : ElementF32; }

class ProductsOnGpu : public testing::Test {
protected:
  void check(const Case &given, std::mt19937 &random) {
    Operand a = operand(given.batch0, given.batch1, given.m, given.k, given.a, given.interleaved);
    Operand b = operand(given.batch0, given.batch1, given.k, given.n, given.b, given.interleaved, given.shared);
    Operand c = operand(given.batch0, given.batch1, given.m, given.n, given.c, given.interleaved);
    int64_t parts[] = {a.elements, b.elements, c.elements, given.n, c.elements};
    uint32_t types[] = {given.input, given.input, given.output, given.output, given.output}, widths[5];
    std::transform(types, types + 5, widths, vcc_element_bytes);
    uint64_t offsets[5], next = 64;
    for (int i = 0; i < 5; ++i)
      offsets[i] = next + given.shift * widths[i], next += ((uint64_t(parts[i]) + given.shift) * widths[i] + 127) / 64 * 64;
    VccStage stage{};
    stage.name = "products", stage.arena_bytes = next;
    FakeGpu gpu;
    Gpu device(gpu.driver());
    Regions regions(device, stage);
    Products products(gpu.products(), device);

    std::uniform_real_distribution<float> uniform(-1, 1);
    auto *memory = reinterpret_cast<std::byte *>(regions.at(VCC_REGION_ARENA, 0));
    for (int part = 0; part < 5; ++part)
      for (uint64_t i = 0; i < uint64_t(parts[part]); ++i) {
        float drawn = uniform(random);
        if (auto half = _Float16(drawn); types[part] == VCC_ELEMENT_F16) {
          std::memcpy(memory + offsets[part] + i * widths[part], &half, sizeof half);
          continue;
        }
        uint32_t bits = std::bit_cast<uint32_t>(drawn);
        std::memcpy(memory + offsets[part] + i * widths[part], reinterpret_cast<char *>(&bits) + (4 - widths[part]), widths[part]);
      }
    std::vector<std::byte> before(memory, memory + next);

    VccBuffer buffers[5];
    for (int i = 0; i < 5; ++i)
      buffers[i] = {VCC_REGION_ARENA, types[i], offsets[i]};
    if (!given.bias)
      buffers[3] = {};
    if (!given.addend)
      buffers[4] = {};
    int64_t ints[VCC_GEMM_INTS] = {given.batch0, given.batch1, given.m,  given.n,  given.k,  a.batch0, a.batch1, a.row, a.column, b.batch0,
                                   b.batch1,     b.row,        b.column, c.batch0, c.batch1, c.row,    c.column, given.accumulate, 0, 0};
    VccLaunch launch{};
    launch.kind = VCC_LAUNCH_GEMM, launch.name = "product";
    launch.buffers = buffers, launch.buffer_count = 5, launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
    auto ready = products.make(launch, regions, {.tf32 = given.tf32});
    ready->enqueue(device.compute());
    device.check(gpu.driver().synchronizeStream(device.compute()), "compute");

    // What the library was asked: types of the operands, sums and factors in f32.
    ElementKind input = kindOf(given.input), output = kindOf(given.output);
    ASSERT_FALSE(gpu.asked.empty());
    bool movesBias = given.bias && given.shift * widths[3] % 16;
    for (const FakeProduct &asked : gpu.asked)
      ASSERT_EQ(asked, (FakeProduct{input, input, output, output, ElementF32, given.tf32 && input == ElementF32 ? ComputeTf32 : ComputeF32,
                                    given.bias ? EpilogueBias : EpilogueNone, given.bias ? int(output) : -1,
                                    given.addend || given.accumulate ? 1.0f : 0.0f, 0, WorkspaceBytes - (movesBias ? 256 : 0)}));

    auto at = [&](int part, int64_t place) { return double(read(before.data() + offsets[part], types[part], uint64_t(place))); };
    // Of tf32 each factor may be off by 2^-11; bf16 results by 2^-8 (f16 by less), or by 2^-7 where the sums here and there lie on both sides of a tie.
    double loose = (given.tf32 && input == ElementF32 ? double(given.k) * 0x1p-9 : 0) + 1e-5;
    std::vector<bool> written(next);
    for (int64_t i = 0; i < given.batch0; ++i)
      for (int64_t j = 0; j < given.batch1; ++j)
        for (int64_t row = 0; row < given.m; ++row)
          for (int64_t column = 0; column < given.n; ++column) {
            int64_t place = i * c.batch0 + j * c.batch1 + row * c.row + column * c.column;
            double sum = (given.bias ? at(3, column) : 0) + (given.addend ? at(4, place) : 0) + (given.accumulate ? at(2, place) : 0);
            for (int64_t inner = 0; inner < given.k; ++inner)
              sum += at(0, i * a.batch0 + j * a.batch1 + row * a.row + inner * a.column) *
                     at(1, i * b.batch0 + j * b.batch1 + inner * b.row + column * b.column);
            double found = double(read(memory + offsets[2], types[2], uint64_t(place)));
            ASSERT_NEAR(found, sum, loose + (output != ElementF32 ? std::abs(sum) * 0x1p-7 : 0)) << row << " " << column;
            for (uint32_t byte = 0; byte < widths[2]; ++byte)
              written[offsets[2] + uint64_t(place) * widths[2] + byte] = true;
          }
    for (uint64_t i = 0; i < next; ++i)
      if (!written[i])
        ASSERT_EQ(memory[i], before[i]) << "byte " << i;
  }
};

/// A plain product of 8 x 8 in the arena; `result` may lie elsewhere.
struct Plain {
  VccBuffer buffers[5] = {{VCC_REGION_ARENA, 4, 0}, {VCC_REGION_ARENA, 4, 4096}, {VCC_REGION_ARENA, 4, 8192}, {}, {}};
  int64_t ints[VCC_GEMM_INTS] = {1, 1, 8, 8, 8, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 0};
  VccLaunch launch{};
  VccStage stage{};
  Plain() {
    launch.kind = VCC_LAUNCH_GEMM, launch.name = "product", launch.buffers = buffers, launch.buffer_count = 5;
    launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
    stage.name = "products", stage.arena_bytes = 1 << 16, stage.state_bytes = 4096;
  }
  Plain(const Plain &) = delete;

  /// What is told when it is made and run once, with the exit code before it.
  std::string told(FakeGpu &gpu, const ProductWay &way = {}) {
    try {
      Gpu device(gpu.driver());
      Regions regions(device, stage);
      Products products(gpu.products(), device);
      products.make(launch, regions, way)->enqueue(device.compute());
      device.check(gpu.driver().synchronizeStream(device.compute()), "compute");
    } catch (const Failure &failure) {
      return std::to_string(int(failure.code())) + " " + failure.what();
    }
    return "nothing";
  }
};

TEST_F(ProductsOnGpu, AreThoseOfTheTable) {
  std::mt19937 random(vcc::test::chosenSeed());
  auto size = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(random); };
  auto coin = [&] { return std::bernoulli_distribution()(random); };
  for (int round = 0; round < 300; ++round) {
    Case given;
    given.batch0 = size(3), given.batch1 = size(4), given.m = size(9), given.n = size(9), given.k = size(9);
    given.interleaved = coin(), given.shared = coin();
    given.a = !given.interleaved && coin() ? Columns : Rows, given.b = !given.interleaved && coin() ? Columns : Rows;
    given.c = !given.interleaved && coin() ? Columns : Rows;
    given.addend = coin(), given.accumulate = !given.addend && coin();
    given.bias = given.c == Rows && coin();
    given.input = coin() ? VCC_ELEMENT_F32 : coin() ? VCC_ELEMENT_BF16 : VCC_ELEMENT_F16;
    given.output = coin() ? given.input : uint32_t(VCC_ELEMENT_F32), given.tf32 = coin();
    given.shift = coin() ? 0 : uint64_t(size(9));
    SCOPED_TRACE(testing::Message() << "round " << round << ": " << given.batch0 << " x " << given.batch1 << " x " << given.m << " x " << given.n
                                    << " x " << given.k << " interleaved " << given.interleaved << " shared " << given.shared << " columns " << given.a
                                    << given.b << given.c << " addend " << given.addend << " accumulate " << given.accumulate << " bias " << given.bias
                                    << " elements " << given.input << " " << given.output << " tf32 " << given.tf32 << " shift " << given.shift);
    check(given, random);
    if (HasFatalFailure())
      return;
  }
}

TEST_F(ProductsOnGpu, AskTheLibraryOnceForEachShape) {
  Plain plain;
  FakeGpu gpu;
  Gpu device(gpu.driver());
  Regions regions(device, plain.stage);
  Products products(gpu.products(), device);
  products.make(plain.launch, regions, {}), products.make(plain.launch, regions, {});
  EXPECT_EQ(gpu.countOf("product_choose"), 1);
  plain.buffers[2].offset = 8196; // less aligned
  products.make(plain.launch, regions, {});
  EXPECT_EQ(gpu.countOf("product_choose"), 2);
  products.make(plain.launch, regions, {.tf32 = true});
  EXPECT_EQ(gpu.countOf("product_choose"), 3);
  plain.buffers[0].element = plain.buffers[1].element = 2;
  products.make(plain.launch, regions, {});
  EXPECT_EQ(gpu.countOf("product_choose"), 4);
  EXPECT_EQ(products.shapesChosen(), 4u);
  plain.buffers[0].element = plain.buffers[1].element = VCC_ELEMENT_F16;
  products.make(plain.launch, regions, {});
  EXPECT_EQ(products.shapesChosen(), 5u);
}

TEST_F(ProductsOnGpu, RefuseTypesThatTheLibraryHasNot) {
  auto refused = [](std::vector<uint32_t> bytes) {
    Plain plain;
    for (size_t i = 0; i < bytes.size(); ++i)
      plain.buffers[i] = {VCC_REGION_ARENA, bytes[i], 4096 * i};
    FakeGpu gpu;
    std::string text = plain.told(gpu);
    EXPECT_EQ(gpu.left(), 0);
    EXPECT_EQ(gpu.asked.size(), text == "nothing" ? 1u : 0u);
    return text;
  };
  EXPECT_EQ(refused({2, 2, 4, 4, 4}), "nothing"); // the gradient of a weight
  EXPECT_EQ(refused({2, 2, 2, 2, 2}), "nothing");
  EXPECT_THAT(refused({2, 4, 4}), HasSubstr("70 launch `product` multiplies elements of two types"));
  EXPECT_THAT(refused({4, 4, 2}), HasSubstr("70 launch `product` gives elements of two bytes from others"));
  constexpr uint32_t Half = VCC_ELEMENT_F16;
  EXPECT_EQ(refused({Half, Half, 4, 4, 4}), "nothing");
  EXPECT_EQ(refused({Half, Half, Half, Half, Half}), "nothing");
  EXPECT_THAT(refused({Half, 2, 4}), HasSubstr("multiplies elements of two types"));
  EXPECT_THAT(refused({Half, Half, 2}), HasSubstr("gives elements of two bytes from others"));
  EXPECT_THAT(refused({2, 2, 2, Half}), HasSubstr("adds a bias of another type"));
  EXPECT_THAT(refused({2, 2, 2, 4}), HasSubstr("adds a bias of another type"));
  EXPECT_THAT(refused({2, 2, 4, 4, 2}), HasSubstr("adds an addend of another type"));
  EXPECT_THAT(refused({1, 1, 4}), HasSubstr("elements of 1 bytes, which are neither f32 nor bf16 nor f16"));
}

TEST_F(ProductsOnGpu, KeepToTheWorkspace) {
  Plain plain;
  FakeGpu gpu;
  gpu.algorithms = {{.workspace = WorkspaceBytes}};
  EXPECT_EQ(plain.told(gpu), "nothing");
  EXPECT_EQ(gpu.wished, std::vector<uint64_t>{WorkspaceBytes});
  // A library that proposes more than was allowed is not followed.
  FakeGpu greedy;
  greedy.algorithms = {{.workspace = WorkspaceBytes + 1}};
  EXPECT_THAT(plain.told(greedy), HasSubstr("could not choose an algorithm for a matrix product of `product`"));
  EXPECT_EQ(greedy.left(), 0);
  FakeGpu none;
  none.algorithms = {};
  EXPECT_THAT(plain.told(none), HasSubstr("could not choose an algorithm"));
}

TEST_F(ProductsOnGpu, TakeTheFastestWhereTheyAreMeasured) {
  auto taken = [](std::vector<FakeAlgorithm> algorithms, bool measured = true, bool accumulates = false) {
    Plain plain;
    plain.ints[VCC_GEMM_ACCUMULATE] = accumulates;
    plain.buffers[2] = {VCC_REGION_STATE, 4, 0};
    FakeGpu gpu;
    gpu.algorithms = std::move(algorithms);
    Gpu device(gpu.driver());
    Regions regions(device, plain.stage);
    Products products(gpu.products(), device);
    auto *state = reinterpret_cast<float *>(regions.at(VCC_REGION_STATE, 0));
    std::fill_n(state, 64, 7.0f);
    auto ready = products.make(plain.launch, regions, {.measured = measured});
    device.check(gpu.driver().synchronizeStream(device.compute()), "measure");
    for (int i = 0; i < 64; ++i)
      EXPECT_EQ(state[i], 7.0f) << "what is measured must not change what lasts";
    size_t before = gpu.asked.size();
    products.make(plain.launch, regions, {.measured = measured}); // known by now
    EXPECT_EQ(gpu.asked.size(), before);
    ready->enqueue(device.compute());
    return gpu.asked.back().algorithm;
  };
  EXPECT_EQ(taken({{0, 3}, {0, 1}, {0, 2}}), 1u);
  EXPECT_EQ(taken({{0, 3}, {0, 1}, {0, 2}}, false), 0u);
  EXPECT_EQ(taken({{0, 2}, {0, 2}}), 0u); // the library's order among equals
  EXPECT_EQ(taken({{0, 2}, {0, 1}}, true, true), 1u);
  EXPECT_EQ(taken({{0, 3}, {WorkspaceBytes + 1, 1}, {0, 2}}), 2u);
  EXPECT_EQ(taken({{0, 3}, {0, 1, ProductNotSupported}, {0, 2}}), 2u);
  EXPECT_EQ(taken({{0, 3}, {0, 1, ProductSuccess, ProductNotSupported}, {0, 2}}), 2u);
  std::vector<FakeAlgorithm> many(ProductsMeasured + 1, FakeAlgorithm{0, 2});
  many.back().milliseconds = 1;
  EXPECT_EQ(taken(many), 0u); // not among those that are asked for
}

TEST_F(ProductsOnGpu, TakeTheNextWhereTheLibraryDoesNotDoWhatItProposed) {
  const FakeAlgorithm refused{0, 1, ProductSuccess, ProductNotSupported};
  Plain plain;
  {
    FakeGpu gpu;
    gpu.algorithms = {refused, refused, {0, 1}};
    Gpu device(gpu.driver());
    Regions regions(device, plain.stage);
    Products products(gpu.products(), device);
    auto first = products.make(plain.launch, regions, {}), second = products.make(plain.launch, regions, {});
    first->enqueue(device.compute());
    EXPECT_EQ(gpu.countOf("product_multiply"), 3);
    second->enqueue(device.compute()), first->enqueue(device.compute()); // known by now
    EXPECT_EQ(gpu.countOf("product_multiply"), 5);
    ASSERT_EQ(gpu.asked.size(), 3u);
    for (const FakeProduct &asked : gpu.asked)
      EXPECT_EQ(asked.algorithm, 2u);
  }
  FakeGpu none;
  none.algorithms = {refused, refused};
  EXPECT_THAT(plain.told(none), HasSubstr("70 could not enqueue a matrix product of `product`: cuBLASLt's status 15, not supported"));
}

TEST_F(ProductsOnGpu, SayWhatFailsWhicheverCallDoes) {
  for (bool measured : {false, true}) {
    Plain plain;
    plain.buffers[3] = {VCC_REGION_ARENA, 4, 12288};
    FakeGpu whole;
    whole.algorithms = {{}, {}};
    ASSERT_EQ(plain.told(whole, {.measured = measured}), "nothing");
    for (int64_t at = 0; at < int64_t(whole.calls.size()); ++at) {
      FakeGpu gpu;
      gpu.algorithms = {{}, {}};
      gpu.failAt = at, gpu.failWith = EccUncorrectable;
      std::string text = plain.told(gpu, {.measured = measured});
      EXPECT_EQ(gpu.left(), 0) << gpu.failed;
      if (gpu.failed.find("destroy") != std::string::npos || gpu.failed.find("free") != std::string::npos || gpu.failed.find("release") != std::string::npos)
        EXPECT_EQ(text, "nothing") << gpu.failed;
      else
        EXPECT_THAT(text, HasSubstr(gpu.failed.rfind("product_", 0) == 0 ? "cuBLASLt" : "error that ECC cannot correct")) << gpu.failed;
    }
  }
}

TEST_F(ProductsOnGpu, WithoutAUnitStrideAreRefused) {
  int64_t ints[VCC_GEMM_INTS] = {1, 1, 8, 8, 8, 0, 0, 16, 2, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 0};
  VccBuffer buffers[3] = {};
  VccLaunch launch{};
  launch.kind = VCC_LAUNCH_GEMM, launch.name = "product", launch.buffers = buffers, launch.buffer_count = 3;
  launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
  EXPECT_THROW(shapeOf(launch), Failure);
  ints[VCC_GEMM_A_K] = 1;
  EXPECT_NO_THROW(shapeOf(launch));
}

} // namespace
} // namespace vcc::runtime::cuda
