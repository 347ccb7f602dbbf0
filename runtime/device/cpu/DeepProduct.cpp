// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cpu/DeepProduct.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

namespace vcc::runtime {

namespace {

constexpr int64_t LongSum = 2048;

class DeepProduct final : public Launch {
public:
  DeepProduct(const VccLaunch &launch, const StageMemory &memory)
      : Of(launch), Ints(launch.ints), A(at(memory, 0)), B(at(memory, 1)), C(at(memory, 2)),
        Transposed(Ints[VCC_GEMM_A_K] != 1),
        LeadingA(Transposed ? Ints[VCC_GEMM_A_K] : Ints[VCC_GEMM_A_M]) {}

  void run() override {
    dnnl_status_t status = dnnl_sgemm(Transposed ? 'T' : 'N', 'N', Ints[VCC_GEMM_M], Ints[VCC_GEMM_N],
                                      Ints[VCC_GEMM_K], 1.0f, A, LeadingA, B, Ints[VCC_GEMM_B_K],
                                      Ints[VCC_GEMM_ACCUMULATE] ? 1.0f : 0.0f, C, Ints[VCC_GEMM_C_M]);
    if (status != dnnl_success)
      failLaunch(Of, fmt::format("is a product that oneDNN could not compute (status {})", int(status)));
  }

private:
  float *at(const StageMemory &memory, int operand) const {
    return reinterpret_cast<float *>(memory.resolve(Of.buffers[operand]));
  }

  const VccLaunch &Of;
  const int64_t *Ints;
  float *A, *B, *C;
  bool Transposed;
  int64_t LeadingA;
};

} // namespace

std::unique_ptr<Launch> makeDeepProduct(const VccLaunch &launch, const StageMemory &memory) {
  checkCounts(launch, 3, VCC_GEMM_INTS);
  const int64_t *ints = launch.ints;
  for (uint64_t i = 3; i < launch.buffer_count; ++i) // a bias, an addend
    if (launch.buffers[i].region != VCC_REGION_NONE)
      return nullptr;
  bool packed = ints[VCC_GEMM_PACK_B] != 0 && launch.buffers[1].region == VCC_REGION_WEIGHTS;
  if (packed || ints[VCC_GEMM_ACTIVATION] != VCC_ACTIVATION_NONE || ints[VCC_GEMM_BATCH0] != 1 ||
      ints[VCC_GEMM_BATCH1] != 1)
    return nullptr;
  int64_t m = ints[VCC_GEMM_M], n = ints[VCC_GEMM_N], k = ints[VCC_GEMM_K];
  if (k < LongSum || k < 2 * n || m < 2 || n < 2)
    return nullptr;
  bool rowsOfA = ints[VCC_GEMM_A_K] == 1 && ints[VCC_GEMM_A_M] >= k;
  bool columnsOfA = ints[VCC_GEMM_A_M] == 1 && ints[VCC_GEMM_A_K] >= m;
  bool rowsOfB = ints[VCC_GEMM_B_N] == 1 && ints[VCC_GEMM_B_K] >= n;
  bool rowsOfC = ints[VCC_GEMM_C_N] == 1 && ints[VCC_GEMM_C_M] >= n;
  if (!(rowsOfA || columnsOfA) || !rowsOfB || !rowsOfC)
    return nullptr;
  return std::make_unique<DeepProduct>(launch, memory);
}

} // namespace vcc::runtime
