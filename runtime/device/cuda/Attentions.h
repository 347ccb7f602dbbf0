// SPDX-License-Identifier: Apache-2.0
//
// Attention through cuDNN: a plan is made once for each shape, when the first function that needs it is made ready, and a call
// is the plan with its operands' addresses.
#ifndef VCC_RUNTIME_DEVICE_CUDA_ATTENTIONS_H
#define VCC_RUNTIME_DEVICE_CUDA_ATTENTIONS_H

#include "runtime/device/cuda/AttentionPlan.h"
#include "runtime/device/cuda/Enqueue.h"

#include <map>
#include <memory>
#include <string>

namespace vcc::runtime::cuda {

class Attentions {
public:
  /// Needs the GPU's context to be current.
  Attentions(const AttentionApi &api, const Gpu &gpu);
  ~Attentions();
  Attentions(const Attentions &) = delete;
  Attentions &operator=(const Attentions &) = delete;

  std::unique_ptr<Enqueued> make(const VccLaunch &launch, const Regions &regions);
  /// "cuDNN 9.19.0".
  std::string version() const;
  uint64_t plansMade() const { return Plans.size(); }

private:
  friend class AttentionLaunch;
  const AttentionPlan &planFor(const AttentionShape &shape, uint64_t workspace);
  /// Memory that says for each sample that this many of its queries, or keys, count.
  Address counts(int64_t samples, int64_t count);
  /// Makes the library work in this stream.
  void use(Stream stream);
  [[noreturn]] void fail(const AttentionFault &fault, const std::string &where) const;

  const AttentionApi &Api;
  const Gpu &Device;
  AttentionHandle Handle = nullptr;
  Stream Used = nullptr;
  std::map<std::pair<AttentionShape, uint64_t>, AttentionPlan> Plans;
  std::map<std::pair<int64_t, int64_t>, Owned<Address>> Counts;
};

} // namespace vcc::runtime::cuda
#endif
