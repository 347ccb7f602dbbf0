// SPDX-License-Identifier: Apache-2.0
//
// Kernels from text to callable machine code in this process, and launches of them that also check that the split of the units
// changes no bit of the results.
#ifndef VCC_TESTS_UNIT_CODEGEN_KERNELPROGRAM_H
#define VCC_TESTS_UNIT_CODEGEN_KERNELPROGRAM_H

#include "runtime/program/Abi.h"
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace vcc::test {

class KernelProgram {
public:
  /// Compiles the kernels of a module's text for a CPU: its tg.kernels, and those that the attention in its plan names.
  explicit KernelProgram(const std::string &Text, const std::string &Cpu = "native");
  ~KernelProgram();
  /// Null with a test failure when there is none.
  VccKernel find(const std::string &Name) const;

private:
  struct State;
  std::unique_ptr<State> TheState;
};

/// The levels that this machine can run.
std::vector<std::string> runnableCpus();

/// One kernel's text: a body of operations over the given arguments.
std::string kernelText(const std::string &Name, const std::string &Class, int64_t Columns, const std::string &Arguments,
                       const std::string &Params, const std::string &Results, const std::string &Body);

/// One entry of a launch's access.
struct Access {
  int64_t Offset = 0;
  std::vector<int64_t> Strides;
};

struct LaunchSpec {
  std::vector<int64_t> Dims;
  std::vector<Access> Accesses;
  std::vector<int64_t> Uniforms;
  int64_t RowsPerChunk = 0; // with sums
  std::vector<int64_t> ints() const;
};

/// Calls the kernel for [0, Units) whole with these integers; then again in random pieces over the same starting bytes of `Outputs`, and expects equal
/// bytes.
void launch(VccKernel Kernel, std::vector<void *> Buffers, const LaunchSpec &Spec, int64_t Units,
            const std::vector<std::pair<void *, size_t>> &Outputs);
void launch(VccKernel Kernel, std::vector<void *> Buffers, const std::vector<int64_t> &Ints, int64_t Units,
            const std::vector<std::pair<void *, size_t>> &Outputs);

int64_t bitsOf(float Number);

/// Uniform numbers from a fixed seed.
std::vector<float> randomFloats(size_t Count, float Low, float High, unsigned Seed = 1);

} // namespace vcc::test

#endif
