// SPDX-License-Identifier: Apache-2.0
//
// Attention as cuDNN's graph interface takes it: products, elementwise steps and reductions over the scores, which the library
// knows as a whole and computes without them in memory. Nothing here needs a GPU.
#ifndef VCC_RUNTIME_DEVICE_CUDA_ATTENTIONGRAPH_H
#define VCC_RUNTIME_DEVICE_CUDA_ATTENTIONGRAPH_H

#include "runtime/device/cuda/AttentionApi.h"

#include <compare>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace vcc::runtime::cuda {

/// A call of cuDNN that did not do what it was asked.
struct AttentionFault {
  AttentionResult result;
  std::string doing, detail; ///< what was tried; the library's own words, which may be none
};

/// Throws an AttentionFault unless the result is good.
void checkAttention(const AttentionApi &api, AttentionResult result, const char *doing);

/// A part of a graph, owned.
class Part {
public:
  Part(const AttentionApi &api, PartKind kind);
  Part(Part &&other) noexcept : Api(other.Api), Value(std::exchange(other.Value, nullptr)) {}
  Part &operator=(Part &&other) noexcept {
    std::swap(Api, other.Api), std::swap(Value, other.Value);
    return *this;
  }
  ~Part() {
    if (Value)
      Api->destroyPart(Value);
  }
  GraphPart get() const { return Value; }
  Part &set(PartAttribute attribute, ValueKind kind, int64_t count, const void *values);
  Part &set(PartAttribute attribute, const Part &part) { return set(attribute, ValuePart, 1, &part.Value); }
  template <typename T> Part &set(PartAttribute attribute, ValueKind kind, T value) { return set(attribute, kind, 1, &value); }
  void finish();

private:
  const AttentionApi *Api;
  GraphPart Value = nullptr;
};

/// What makes two attentions the same to the library. q is [b, sq, h, d] as it lies in memory, k and v [b, sk, g, d].
struct AttentionShape {
  int64_t b, sq, sk, h, g, d;
  bool causal;  ///< query i sees the keys up to i + sk - sq
  bool lengths; ///< of each sample only the first keys count
  bool backward;
  bool half = false; ///< operands are f16, else bf16
  auto operator<=>(const AttentionShape &) const = default;
};

/// Names of the tensors in memory, and of the numbers that are handed over with each call.
enum AttentionOperand : int64_t {
  OperandQ = 1,
  OperandK,
  OperandV,
  OperandOut,
  OperandLse,
  OperandDout,
  OperandDq,
  OperandDk,
  OperandDv,
  OperandLengths,     ///< keys of each sample
  OperandQueries,     ///< queries of each sample: all, but the library wants to be told
  OperandRowSums,     ///< of dout * out, between the parts of the backward
  OperandScale,       ///< f32
  OperandNothing,     ///< f32: the score of a key that is not seen
  OperandOne,         ///< f32
  OperandQueryCount,  ///< i32: sq
  OperandKeyCount,    ///< i32: sk
  OperandVirtual = 64 ///< from here on: what is never in memory
};

class AttentionGraph {
public:
  /// Throws an AttentionFault.
  AttentionGraph(const AttentionApi &api, const AttentionShape &shape, AttentionHandle handle);

  const Part &graph() const { return Whole; }
  /// What a call must name, in the order in which the graph met them.
  const std::vector<int64_t> &operands() const { return Named; }

private:
  friend class GraphWriter;
  std::deque<Part> Parts;
  std::vector<int64_t> Named;
  Part Whole;
};

} // namespace vcc::runtime::cuda
#endif
