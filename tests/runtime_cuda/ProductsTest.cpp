// SPDX-License-Identifier: Apache-2.0
//
// Products of the launch table as cuBLASLt is asked for them, against naive loops over the table's own strides.
#include "runtime/device/cuda/Products.h"
#include "runtime/program/Failure.h"
#include "tests/runtime_cuda/FakeGpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace vcc::runtime::cuda {
namespace {


unsigned seed() {
  static unsigned Seed = [] {
    const char *given = std::getenv("VCC_TEST_SEED");
    unsigned value = given ? unsigned(std::strtoul(given, nullptr, 10)) : std::random_device()();
    std::printf("seed %u (VCC_TEST_SEED)\n", value);
    return value;
  }();
  return Seed;
}

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
};

class ProductsOnGpu : public testing::Test {
protected:
  void check(const Case &given, std::mt19937 &random) {
    Operand a = operand(given.batch0, given.batch1, given.m, given.k, given.a, given.interleaved);
    Operand b = operand(given.batch0, given.batch1, given.k, given.n, given.b, given.interleaved, given.shared);
    Operand c = operand(given.batch0, given.batch1, given.m, given.n, given.c, given.interleaved);
    int64_t parts[] = {a.elements, b.elements, c.elements, given.n, c.elements};
    uint64_t offsets[5], next = 64;
    for (int i = 0; i < 5; ++i)
      offsets[i] = next, next += uint64_t(parts[i]) * 4 + 64;
    VccStage stage{};
    stage.name = "products", stage.arena_bytes = next;
    FakeGpu gpu;
    Gpu device(gpu.driver());
    Regions regions(device, stage);
    Products products(gpu.products(), device);

    std::uniform_real_distribution<float> uniform(-1, 1);
    auto *memory = reinterpret_cast<float *>(regions.at(VCC_REGION_ARENA, 0));
    for (uint64_t i = 0; i < next / 4; ++i)
      memory[i] = uniform(random);
    std::vector<float> before(memory, memory + next / 4);

    VccBuffer buffers[5];
    for (int i = 0; i < 5; ++i)
      buffers[i] = {VCC_REGION_ARENA, 4, offsets[i]};
    if (!given.bias)
      buffers[3] = {};
    if (!given.addend)
      buffers[4] = {};
    int64_t ints[VCC_GEMM_INTS] = {given.batch0, given.batch1, given.m,  given.n,  given.k,  a.batch0, a.batch1, a.row, a.column, b.batch0,
                                   b.batch1,     b.row,        b.column, c.batch0, c.batch1, c.row,    c.column, given.accumulate, 0, 0};
    VccLaunch launch{};
    launch.kind = VCC_LAUNCH_GEMM, launch.name = "product";
    launch.buffers = buffers, launch.buffer_count = 5, launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
    auto ready = products.make(launch, regions);
    ready->enqueue(device.compute());
    device.check(gpu.driver().synchronizeStream(device.compute()), "compute");

    auto at = [&](int part, int64_t place) { return before[offsets[part] / 4 + uint64_t(place)]; };
    std::vector<bool> written(next / 4);
    for (int64_t i = 0; i < given.batch0; ++i)
      for (int64_t j = 0; j < given.batch1; ++j)
        for (int64_t row = 0; row < given.m; ++row)
          for (int64_t column = 0; column < given.n; ++column) {
            int64_t place = i * c.batch0 + j * c.batch1 + row * c.row + column * c.column;
            double sum = (given.bias ? double(at(3, column)) : 0) + (given.addend ? double(at(4, place)) : 0) +
                         (given.accumulate ? double(at(2, place)) : 0);
            for (int64_t inner = 0; inner < given.k; ++inner)
              sum += double(at(0, i * a.batch0 + j * a.batch1 + row * a.row + inner * a.column)) *
                     double(at(1, i * b.batch0 + j * b.batch1 + inner * b.row + column * b.column));
            ASSERT_NEAR(memory[offsets[2] / 4 + uint64_t(place)], sum, 1e-5) << row << " " << column;
            written[offsets[2] / 4 + uint64_t(place)] = true;
          }
    for (uint64_t i = 0; i < next / 4; ++i)
      if (!written[i])
        ASSERT_EQ(memory[i], before[i]) << "byte " << 4 * i;
  }
};

TEST_F(ProductsOnGpu, AreThoseOfTheTable) {
  std::mt19937 random(seed());
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
    SCOPED_TRACE(testing::Message() << "round " << round << ": " << given.batch0 << " x " << given.batch1 << " x " << given.m << " x " << given.n
                                    << " x " << given.k << " interleaved " << given.interleaved << " shared " << given.shared << " columns " << given.a
                                    << given.b << given.c << " addend " << given.addend << " accumulate " << given.accumulate << " bias " << given.bias);
    check(given, random);
    if (HasFatalFailure())
      return;
  }
}

TEST_F(ProductsOnGpu, AskTheLibraryOnceForEachShape) {
  VccStage stage{};
  stage.name = "products", stage.arena_bytes = 1 << 16;
  FakeGpu gpu;
  Gpu device(gpu.driver());
  Regions regions(device, stage);
  Products products(gpu.products(), device);
  VccBuffer buffers[] = {{VCC_REGION_ARENA, 4, 0}, {VCC_REGION_ARENA, 4, 4096}, {VCC_REGION_ARENA, 4, 8192}};
  int64_t ints[VCC_GEMM_INTS] = {1, 1, 8, 8, 8, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 8, 1, 0, 0, 0};
  VccLaunch launch{};
  launch.kind = VCC_LAUNCH_GEMM, launch.name = "product", launch.buffers = buffers, launch.buffer_count = 3;
  launch.ints = ints, launch.int_count = VCC_GEMM_INTS;
  products.make(launch, regions), products.make(launch, regions);
  EXPECT_EQ(gpu.countOf("product_choose"), 1);
  buffers[2].offset = 8196; // less aligned
  products.make(launch, regions);
  EXPECT_EQ(gpu.countOf("product_choose"), 2);
  EXPECT_EQ(products.shapesChosen(), 2u);
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
