// SPDX-License-Identifier: Apache-2.0
//
// One step on the disk, enough for another framework to redo it: what the very buffers of the training functions hold.
// Keys: `input/<micro>/<name>`, `before/<path>`, `after/<path>`, `gradient/<path>`, `moment/<path>`, `output/<name>`.
#ifndef VCC_RUNTIME_LOOP_DUMP_H
#define VCC_RUNTIME_LOOP_DUMP_H

#include "runtime/loop/StageProgram.h"
#include "runtime/weights/Safetensors.h"

#include <string>
#include <vector>

namespace vcc::runtime {

class Dump {
public:
  explicit Dump(StageProgram &program) : Program(program) {}
  /// Before the step: every weight, frozen ones included, and the moments.
  void weightsBefore();
  void inputs(int micro, const HostTensors &tensors);
  void systemInputs(int micro, const manifest::Function &function);
  /// After the last micro-batch, before the update.
  void gradients();
  /// Outputs of a function, summed by the caller where there are several micro-batches.
  void outputs(const std::vector<Scalar> &values);
  void weightsAfter();
  /// Writes <folder>/step-<step>.safetensors; ranks but the first add theirs, step-<step>.rank-<rank>.safetensors.
  std::string write(const std::string &folder, int64_t step, int rank);

private:
  void keep(const std::string &name, DType dtype, const Shape &shape, const void *data);
  StageProgram &Program;
  std::vector<NamedTensor> Tensors;
  std::vector<std::vector<std::byte>> Copies;
};

} // namespace vcc::runtime
#endif
