// SPDX-License-Identifier: Apache-2.0
//
// Runs functions of a gpu.module on the CPU, in the form before NVVM: all threads of a block step together through the operations,
// each with registers of its own and under a mask where control flow parts them. It is stricter than a GPU: reading or writing
// outside of what was handed over, accesses that are not aligned as they say, two threads at one byte of which one writes without a
// barrier of their block between them, memory of the block read before it is written, shuffles of part of a warp and barriers that
// not every thread reaches are errors.
#ifndef VCC_TESTS_UNIT_CODEGEN_GRIDEMULATOR_H
#define VCC_TESTS_UNIT_CODEGEN_GRIDEMULATOR_H

#include "mlir/IR/BuiltinOps.h"
#include <cstdint>
#include <string>
#include <vector>

namespace vcc::test {

struct DeviceMemory {
  char *Data;
  size_t Bytes;
};

/// Launches a kernel. `Memory` is all that it may touch; `Pointers` point into it. Gives the first error, or nothing.
std::string emulate(mlir::ModuleOp Kernels, llvm::StringRef Name, int64_t Blocks, const std::vector<void *> &Pointers,
                    llvm::ArrayRef<int64_t> Words, const std::vector<DeviceMemory> &Memory);

} // namespace vcc::test

#endif
