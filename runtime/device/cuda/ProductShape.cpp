// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/ProductShape.h"

#include "runtime/device/LaunchFaults.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

namespace vcc::runtime::cuda {

namespace {

/// A view of memory: element (i, j) lies at i * row + j * column.
struct View {
  int64_t rows, columns, row, column;
  View turned() const { return {columns, rows, column, row}; }
};

std::optional<StoredMatrix> stored(const View &view) {
  if ((view.row == 1 || view.rows == 1) && (view.columns == 1 || view.column >= view.rows))
    return StoredMatrix{view.rows, view.columns, view.columns == 1 ? view.rows : view.column, false, 0};
  if ((view.column == 1 || view.columns == 1) && (view.rows == 1 || view.row >= view.columns))
    return StoredMatrix{view.columns, view.rows, view.rows == 1 ? view.columns : view.row, true, 0};
  return std::nullopt;
}

/// Elements from one product of a stack to the next.
struct Batch {
  int64_t size, a, b, c;
};

/// Both batch dimensions as few as they can be, the outer one first; rows of equal right-hand sides become one product's.
std::vector<Batch> batchesOf(const int64_t *ints, int64_t &m) {
  std::vector<Batch> batches;
  for (int i : {0, 1})
    if (ints[VCC_GEMM_BATCH0 + i] > 1)
      batches.push_back({ints[VCC_GEMM_BATCH0 + i], ints[VCC_GEMM_A_BATCH0 + i], ints[VCC_GEMM_B_BATCH0 + i], ints[VCC_GEMM_C_BATCH0 + i]});
  while (!batches.empty() && batches.back().b == 0 && batches.back().a == m * ints[VCC_GEMM_A_M] && batches.back().c == m * ints[VCC_GEMM_C_M]) {
    m *= batches.back().size;
    batches.pop_back();
  }
  if (batches.size() == 2) {
    const Batch &outer = batches[0], &inner = batches[1];
    if (outer.a == inner.a * inner.size && outer.b == inner.b * inner.size && outer.c == inner.c * inner.size)
      batches = {{outer.size * inner.size, inner.a, inner.b, inner.c}};
  }
  if (batches.size() == 2 && batches[0].size > batches[1].size)
    std::swap(batches[0], batches[1]);
  return batches;
}

} // namespace

ProductShape shapeOf(const VccLaunch &launch) {
  checkCounts(launch, 3, VCC_GEMM_INTS);
  const int64_t *ints = launch.ints;
  int64_t m = ints[VCC_GEMM_M], n = ints[VCC_GEMM_N], k = ints[VCC_GEMM_K];
  if (ints[VCC_GEMM_BATCH0] < 1 || ints[VCC_GEMM_BATCH1] < 1 || m < 1 || n < 1 || k < 1)
    failLaunch(launch, fmt::format("multiplies {} x {} by {} x {}", m, k, k, n));
  std::vector<Batch> batches = batchesOf(ints, m);
  View a{m, k, ints[VCC_GEMM_A_M], ints[VCC_GEMM_A_K]}, b{k, n, ints[VCC_GEMM_B_K], ints[VCC_GEMM_B_N]},
      c{m, n, ints[VCC_GEMM_C_M], ints[VCC_GEMM_C_N]};
  bool bias = launch.buffer_count > 3 && launch.buffers[3].region != VCC_REGION_NONE;

  // A bias has one number for each row of D, which are the columns of a result by rows.
  auto byRows = stored(c.turned()), byColumns = stored(c);
  bool swapped = byRows && !byRows->transposed;
  auto d = swapped ? byRows : byColumns;
  auto left = swapped ? stored(b.turned()) : stored(a), right = swapped ? stored(a.turned()) : stored(b);
  if (!d || d->transposed || !left || !right)
    failLaunch(launch, fmt::format("multiplies matrices without a unit stride (a {} {}, b {} {}, c {} {}), which cuBLASLt cannot", a.row, a.column,
                                   b.row, b.column, c.row, c.column));
  if (bias && !swapped)
    failLaunch(launch, "adds a bias along the columns of a result by columns, which cuBLASLt cannot");

  ProductShape shape;
  shape.a = *left, shape.b = *right, shape.d = *d, shape.swapped = swapped;
  auto strideA = [&](const Batch &batch) { return swapped ? batch.b : batch.a; };
  auto strideB = [&](const Batch &batch) { return swapped ? batch.a : batch.b; };
  if (!batches.empty()) {
    const Batch &inner = batches.back();
    shape.batch = inner.size;
    shape.a.batchStride = strideA(inner), shape.b.batchStride = strideB(inner), shape.d.batchStride = inner.c;
  }
  if (batches.size() == 2) {
    const Batch &outer = batches.front();
    shape.outer = outer.size, shape.outerA = strideA(outer), shape.outerB = strideB(outer), shape.outerD = outer.c;
  }
  return shape;
}

} // namespace vcc::runtime::cuda
