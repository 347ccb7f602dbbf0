// SPDX-License-Identifier: Apache-2.0
//
// An attention made ready: of the engines that the library offers for its graph the first that computes the same bits every time
// and needs no more workspace than the call may have.
#ifndef VCC_RUNTIME_DEVICE_CUDA_ATTENTIONPLAN_H
#define VCC_RUNTIME_DEVICE_CUDA_ATTENTIONPLAN_H

#include "runtime/device/cuda/AttentionGraph.h"

namespace vcc::runtime::cuda {

/// Where plans are made for: the handle of a GPU, or else a description of one, with which none is needed.
struct AttentionPlace {
  AttentionHandle handle = nullptr;
  const Part *device = nullptr;
};

class AttentionPlan {
public:
  /// Throws an AttentionFault; its result is AttentionNotSupported where no engine is left, and its detail says why.
  AttentionPlan(const AttentionApi &api, const AttentionShape &shape, const AttentionPlace &place, uint64_t mostWorkspace);

  const Part &plan() const { return Chosen; }
  uint64_t workspace() const { return Workspace; }
  const std::vector<int64_t> &operands() const { return Graph.operands(); }

private:
  void choose(const AttentionApi &api, const AttentionPlace &place, uint64_t mostWorkspace);
  AttentionGraph Graph;
  Part Chosen;
  uint64_t Workspace = 0;
};

} // namespace vcc::runtime::cuda
#endif
