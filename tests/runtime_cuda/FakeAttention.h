// SPDX-License-Identifier: Apache-2.0
//
// cuDNN's graph interface on the fake GPU: descriptions are checked as they are finished, and a plan does what its graph says, step by
// step in the host's memory, so that a wrong mask, order or stride shows in the results. Calls are among those of the GPU.
#ifndef VCC_TESTS_RUNTIME_CUDA_FAKEATTENTION_H
#define VCC_TESTS_RUNTIME_CUDA_FAKEATTENTION_H

#include "runtime/device/cuda/AttentionApi.h"
#include "tests/runtime_cuda/FakeGpu.h"

#include <map>
#include <memory>

namespace vcc::runtime::cuda {

struct FakeEngine {
  bool deterministic = true;
  int64_t workspace = 256;
  AttentionResult plans = AttentionSuccess; ///< what finishing a plan of it says
};

class FakeAttention {
public:
  explicit FakeAttention(FakeGpu &gpu);
  ~FakeAttention();
  FakeAttention(const FakeAttention &) = delete;

  const AttentionApi &api() const { return Table; }
  std::vector<FakeEngine> best = {{}}, fallback; ///< what is recommended
  AttentionResult failWith = AttentionResult(4000);
  static size_t version; ///< of the library
  int64_t left() const { return Live; }

  // For the stubs.
  static FakeAttention *Now;
  FakeGpu &Gpu;
#define VCC_FAKE_CALL(MEMBER, SYMBOL, PARAMETERS) AttentionResult MEMBER PARAMETERS;
  VCC_ATTENTION_CALLS(VCC_FAKE_CALL)
#undef VCC_FAKE_CALL

  struct Piece;

private:
  AttentionApi Table;
  std::map<GraphPart, std::shared_ptr<Piece>> Pieces;
  int64_t Live = 0;
  Stream Where = nullptr;
};

} // namespace vcc::runtime::cuda
#endif
